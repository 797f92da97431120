// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// clusterStatus is what `status` prints.
type clusterStatus struct {
	Up         bool            `json:"up"`
	Dir        string          `json:"dir"`
	Kubernetes string          `json:"kubernetes"`
	Started    time.Time       `json:"started"`
	Kubeconfig string          `json:"kubeconfig"`
	APIServer  string          `json:"apiServer"`
	Gateway    string          `json:"gateway"`
	Pods       string          `json:"pods"`
	Services   string          `json:"services"`
	Binaries   string          `json:"binaries"`
	Processes  []processStatus `json:"processes"`
}

type processStatus struct {
	Name    string `json:"name"`
	PID     int    `json:"pid"`
	Running bool   `json:"running"`
	Log     string `json:"log"`
}

func statusCommand(o *options) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say what runs and where; the exit code is 1 if no whole cluster is up",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output %s: want text or json", output)
			}
			c, err := openCluster(o.dir)
			status := clusterStatus{Dir: o.dir}
			switch {
			case err == nil:
				status = c.status()
			case !errors.Is(err, errNoCluster):
				return err
			}
			if output == "json" {
				encoder := json.NewEncoder(os.Stdout)
				encoder.SetIndent("", "  ")
				err = encoder.Encode(status)
			} else {
				err = status.print(os.Stdout)
			}
			if err == nil && !status.Up {
				return exitCode(1)
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

func (c *cluster) status() clusterStatus {
	status := clusterStatus{
		Up: c.whole(), Dir: c.dir, Kubernetes: c.state.Kubernetes, Started: c.state.Started,
		Kubeconfig: c.kubeconfig(), APIServer: "https://" + c.apiServer(),
		Gateway: c.network.gateway.String(), Pods: c.network.pods.String(), Services: c.network.services.String(),
		Binaries: c.state.Binaries,
	}
	for _, p := range c.state.Processes {
		status.Processes = append(status.Processes, processStatus{
			Name: p.Name, PID: enteredProcess(p.PID), Running: c.alive(p), Log: p.Log,
		})
	}
	return status
}

// enteredProcess is the process that nsenter started in the node, which is the one a reader looks for;
// nsenter only waits for it.
func enteredProcess(pid int) int {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", pid))
	if err != nil {
		return pid
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	children := strings.Fields(string(content))
	if err != nil || strings.TrimSpace(string(name)) != "nsenter" || len(children) != 1 {
		return pid
	}
	child, err := strconv.Atoi(children[0])
	if err != nil {
		return pid
	}
	return child
}

func (s clusterStatus) print(w io.Writer) error {
	if len(s.Processes) == 0 {
		_, err := fmt.Fprintf(w, "No cluster is up in %s.\n", s.Dir)
		return err
	}
	state := "up"
	if !s.Up {
		state = "not whole: end it with `cluster down`"
	}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(table, "cluster\t%s\n", state)
	fmt.Fprintf(table, "kubernetes\t%s\n", s.Kubernetes)
	fmt.Fprintf(table, "folder\t%s\n", s.Dir)
	fmt.Fprintf(table, "kubeconfig\t%s\n", s.Kubeconfig)
	fmt.Fprintf(table, "API server\t%s\n", s.APIServer)
	fmt.Fprintf(table, "gateway\t%s\t(this machine, as pods see it)\n", s.Gateway)
	fmt.Fprintf(table, "pods\t%s\n", s.Pods)
	fmt.Fprintf(table, "services\t%s\n", s.Services)
	fmt.Fprintf(table, "binaries\t%s\n\n", s.Binaries)
	fmt.Fprintln(table, "PROCESS\tID\tSTATE\tLOG")
	for _, p := range s.Processes {
		state := "running"
		if !p.Running {
			state = "ended"
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", p.Name, p.PID, state, p.Log)
	}
	return table.Flush()
}

func kubeconfigCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the path of the running cluster's kubeconfig",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := runningCluster(o.dir)
			if err != nil {
				return err
			}
			fmt.Println(c.kubeconfig())
			return nil
		},
	}
}

func gatewayCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "gateway",
		Short: "Print the address at which pods reach servers on this machine",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := runningCluster(o.dir)
			if err != nil {
				return err
			}
			fmt.Println(c.network.gateway)
			return nil
		},
	}
}

// printUse says how to use the cluster.
func (c *cluster) printUse(w io.Writer) {
	fmt.Fprintf(w, `export KUBECONFIG=%s
export PATH="%s:$PATH"   # kubectl

Pods reach servers on this machine at %s.
Load an image with 'cluster load-image --help', end the cluster with 'cluster down'.
`, c.kubeconfig(), c.state.Binaries, c.network.gateway)
}
