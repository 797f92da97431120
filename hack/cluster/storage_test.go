// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// fakeAPI answers with fixed lists and records what is made and deleted.
type fakeAPI struct {
	claims, volumes, class string
	made                   []volume
	deleted                []string
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodGet && r.URL.Path == claimsPath:
		_, _ = w.Write([]byte(f.claims))
	case r.Method == http.MethodGet && r.URL.Path == volumesPath:
		_, _ = w.Write([]byte(f.volumes))
	case r.Method == http.MethodGet && r.URL.Path == classPath+"local":
		_, _ = w.Write([]byte(f.class))
	case r.Method == http.MethodPost:
		var v volume
		if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		f.made = append(f.made, v)
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte("{}"))
	case r.Method == http.MethodDelete:
		f.deleted = append(f.deleted, r.URL.Path)
		_, _ = w.Write([]byte("{}"))
	default:
		http.NotFound(w, r)
	}
}

func newProvisioner(t *testing.T, f *fakeAPI) *provisioner {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	for _, list := range []*string{&f.claims, &f.volumes} {
		if *list == "" {
			*list = `{"items":[]}`
		}
	}
	if f.class == "" {
		f.class = `{"provisioner":"` + provisionerName + `","reclaimPolicy":"Delete"}`
	}
	return &provisioner{api: &apiClient{http: server.Client(), server: server.URL}, folder: t.TempDir()}
}

const pendingClaim = `{"items":[{"metadata":{"name":"data","namespace":"ns","uid":"1"},
	"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"local","resources":{"requests":{"storage":"1Gi"}}}}]}`

func TestPendingClaimGetsAFolderThatAnyoneMayWriteTo(t *testing.T) {
	api := &fakeAPI{claims: pendingClaim}
	p := newProvisioner(t, api)
	if err := p.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(api.made) != 1 {
		t.Fatalf("made %d volumes, want 1", len(api.made))
	}
	v := api.made[0]
	if v.Spec.ClaimRef.UID != "1" || v.Spec.ClaimRef.Namespace != "ns" || v.Spec.ReclaimPolicy != "Delete" ||
		v.Spec.Capacity["storage"] != "1Gi" {
		t.Errorf("the volume is %+v", v)
	}
	info, err := os.Stat(v.Spec.HostPath.Path)
	if err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("the folder is %v, %v", info, err)
	}
}

func TestClaimsThatAreNotOurs(t *testing.T) {
	for name, api := range map[string]*fakeAPI{
		"bound": {claims: `{"items":[{"metadata":{"uid":"1"},"spec":{"storageClassName":"local","volumeName":"pvc-1"}}]}`},
		"volume made in the last pass": {
			claims: pendingClaim, volumes: `{"items":[{"metadata":{"name":"pvc-1"},"status":{"phase":"Pending"}}]}`,
		},
		"no class":      {claims: `{"items":[{"metadata":{"uid":"1"},"spec":{"storageClassName":""}}]}`},
		"missing class": {claims: `{"items":[{"metadata":{"uid":"1"},"spec":{"storageClassName":"missing"}}]}`},
		"another provisioner": {
			claims: pendingClaim, class: `{"provisioner":"example.com/other","reclaimPolicy":"Delete"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvisioner(t, api)
			if err := p.pass(t.Context()); err != nil || len(api.made) != 0 {
				t.Errorf("made %v, %v", api.made, err)
			}
		})
	}
}

func TestReleasedVolumeIsDeleted(t *testing.T) {
	api := &fakeAPI{}
	p := newProvisioner(t, api)
	folder := filepath.Join(p.folder, "pvc-1")
	if err := os.MkdirAll(filepath.Join(folder, "appendonlydir"), 0o755); err != nil {
		t.Fatal(err)
	}
	listVolumes := func(phase, path string) string {
		content, err := json.Marshal(map[string]any{"items": []volume{{
			Metadata: objectMeta{
				Name: "pvc-1", Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": provisionerName},
			},
			Spec:   volumeSpec{ReclaimPolicy: "Delete", HostPath: hostPath{Path: path}},
			Status: volumeStatus{Phase: phase},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}

	api.volumes = listVolumes("Bound", folder)
	if err := p.pass(t.Context()); err != nil || len(api.deleted) != 0 {
		t.Errorf("a bound volume: deleted %v, %v", api.deleted, err)
	}

	// Whoever may write volumes could name any folder of the machine.
	outside := t.TempDir()
	api.volumes = listVolumes("Released", outside)
	if err := p.pass(t.Context()); err == nil || len(api.deleted) != 0 {
		t.Errorf("a volume outside the folder: deleted %v, %v", api.deleted, err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}

	api.volumes = listVolumes("Released", folder)
	if err := p.pass(t.Context()); err != nil || len(api.deleted) != 1 {
		t.Errorf("a released volume: deleted %v, %v", api.deleted, err)
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("the data is still there: %v", err)
	}
}
