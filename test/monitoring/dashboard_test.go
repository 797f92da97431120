// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is as much of Grafana's format as is looked at.
type dashboard struct {
	Title         string `json:"title"`
	UID           string `json:"uid"`
	SchemaVersion int    `json:"schemaVersion"`
	Templating    struct {
		List []struct {
			Name, Type, Definition string
			Datasource             *datasource
			AllValue               string `json:"allValue"`
		} `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type datasource struct{ Type, UID string }

type panel struct {
	ID          int         `json:"id"`
	Type        string      `json:"type"`
	Title       string      `json:"title"`
	Description string      `json:"description"`
	Datasource  *datasource `json:"datasource"`
	GridPos     struct{ H, W, X, Y int }
	Targets     []struct {
		RefID      string      `json:"refId"`
		Expr       string      `json:"expr"`
		Datasource *datasource `json:"datasource"`
	} `json:"targets"`
}

func readDashboard(t *testing.T) (*dashboard, []byte) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "grafana", "writebehind.json"))
	if err != nil {
		t.Fatal(err)
	}
	d := &dashboard{}
	if err := json.Unmarshal(text, d); err != nil {
		t.Fatal(err)
	}
	return d, text
}

// TestTheDashboardIsTidy looks for what makes a dashboard fail in another's Grafana
// than the one that it was made in.
func TestTheDashboardIsTidy(t *testing.T) {
	d, text := readDashboard(t)
	if d.Title == "" || d.UID == "" || d.SchemaVersion < 38 {
		t.Errorf("title %q, uid %q, schema %d", d.Title, d.UID, d.SchemaVersion)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", "  "); err != nil || !bytes.Equal(bytes.TrimSpace(indented.Bytes()), bytes.TrimSpace(text)) {
		t.Errorf("it is not indented by two spaces: %v", err)
	}
	if bytes.Contains(text, []byte(`"id": null`)) || bytes.Contains(text, []byte("__inputs")) {
		t.Error("it holds what an export to a file leaves behind")
	}

	variables := map[string]bool{}
	for _, v := range d.Templating.List {
		variables[v.Name] = true
		if v.Type == "query" && v.AllValue != ".*" {
			t.Errorf("all of variable %s is %q, which leaves series without that label out", v.Name, v.AllValue)
		}
		if v.Type == "query" && (v.Datasource == nil || v.Datasource.UID != "${datasource}") {
			t.Errorf("variable %s is not of the chosen data source: %+v", v.Name, v.Datasource)
		}
	}
	for _, name := range []string{"datasource", "namespace", "queue"} {
		if !variables[name] {
			t.Errorf("there is no variable %s", name)
		}
	}

	ids, titles := map[int]bool{}, []string{}
	for i, p := range d.Panels {
		if p.ID == 0 || ids[p.ID] {
			t.Errorf("panel %q has id %d, which is not its own", p.Title, p.ID)
		}
		ids[p.ID] = true
		titles = append(titles, p.Title)
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d lacks a title, a description or a query: %q", p.ID, p.Title)
		}
		if p.Datasource == nil || p.Datasource.UID != "${datasource}" {
			t.Errorf("panel %q is not of the chosen data source: %+v", p.Title, p.Datasource)
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if target.Datasource == nil || target.Datasource.UID != "${datasource}" || refs[target.RefID] {
				t.Errorf("panel %q has a query %s of data source %+v", p.Title, target.RefID, target.Datasource)
			}
			refs[target.RefID] = true
		}
		for _, other := range d.Panels[:i] {
			a, b := p.GridPos, other.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("panels %q and %q lie over each other", p.Title, other.Title)
			}
		}
		if p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W == 0 || p.GridPos.H == 0 {
			t.Errorf("panel %q does not fit: %+v", p.Title, p.GridPos)
		}
	}
	for _, title := range []string{
		"Queue depth", "Oldest entry", "Lag", "Write rate by outcome", "Coalescing ratio", "Failures by reason",
		"Circuit state", "Batch size", "Flush duration", "Dead letters", "Data loss",
	} {
		if !slices.Contains(titles, title) {
			t.Errorf("there is no panel %q", title)
		}
	}
}

// contract are the metrics of the contract, with their labels.
var contract = map[string][]string{
	"writebehind_queue_size": {"queue"}, "writebehind_queue_oldest_seconds": {"queue"}, "writebehind_dead_letters": {"queue"},
	"writebehind_writes_total": {"outcome", "queue"}, "writebehind_flush_failures_total": {"queue", "reason"},
	"writebehind_flush_duration_seconds_count": {"queue"}, "writebehind_batch_size_count": {"queue"}, "writebehind_lag_seconds_count": {"queue"},
	"writebehind_coalesced_total": {"queue"}, "writebehind_data_loss_events_total": {"queue"}, "writebehind_circuit_state": {"queue"},
	// A label reason joins while a check is not well.
	"writebehind_ready": {"check"},
}

var metricName = regexp.MustCompile(`writebehind_[a-z_]+`)

func TestTheDashboardShowsEveryMetricOfTheContract(t *testing.T) {
	d, _ := readDashboard(t)
	shown := map[string]bool{}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			for _, name := range metricName.FindAllString(target.Expr, -1) {
				shown[strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count")] = true
			}
		}
	}
	for name := range contract {
		if !shown[strings.TrimSuffix(name, "_count")] {
			t.Errorf("no panel shows %s", name)
		}
	}
}
