// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/command"
)

// status is the document of the command: what the resource says of itself, and its pods.
type status struct {
	Namespace string                          `json:"namespace"`
	Name      string                          `json:"name"`
	Created   metav1.Time                     `json:"created"`
	Deleted   *metav1.Time                    `json:"deleted,omitempty"`
	Suspended bool                            `json:"suspended"`
	Current   bool                            `json:"current"`
	Status    v1alpha1.WriteBehindCacheStatus `json:"status"`
	Pods      []pod                           `json:"pods"`
}

// pod is one of the flushers.
type pod struct {
	Name     string      `json:"name"`
	Phase    string      `json:"phase"`
	Ready    bool        `json:"ready"`
	Ending   bool        `json:"ending"`
	Restarts int32       `json:"restarts"`
	Node     string      `json:"node"`
	Created  metav1.Time `json:"created"`
	// Waits says why its container does not run.
	Waits string `json:"waits,omitempty"`
}

func statusCommand(t *target, dial dialer) *cobra.Command {
	var output command.Output
	show := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Print conditions, queues and pods of a WriteBehindCache, or of all of the namespace.",
		Args:  oneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := output.Check(); err != nil {
				return err
			}
			c, err := dial(t)
			if err != nil {
				return err
			}
			all, err := c.statuses(cmd, args)
			if err != nil {
				return err
			}
			return printStatuses(cmd, all, len(args) == 1, output)
		},
	}
	output.Bind(show.Flags())
	return show
}

func oneName(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("%q is not allowed: %s takes one WriteBehindCache", args[1], cmd.Name())
	}
	return nil
}

func (c *cluster) statuses(cmd *cobra.Command, names []string) ([]status, error) {
	var caches []v1alpha1.WriteBehindCache
	if len(names) == 1 {
		cache, err := c.resource(cmd.Context(), names[0])
		if err != nil {
			return nil, err
		}
		caches = append(caches, *cache)
	} else {
		var list v1alpha1.WriteBehindCacheList
		if err := c.client.List(cmd.Context(), &list, client.InNamespace(c.namespace)); err != nil {
			return nil, command.Failed("list the WriteBehindCaches of namespace %s: %w", c.namespace, err)
		}
		caches = list.Items
	}
	all := make([]status, 0, len(caches))
	for i := range caches {
		pods, err := c.flushers(cmd.Context(), &caches[i])
		if err != nil {
			return nil, err
		}
		all = append(all, statusOf(&caches[i], pods))
	}
	return all, nil
}

func statusOf(cache *v1alpha1.WriteBehindCache, pods []corev1.Pod) status {
	s := status{
		Namespace: cache.Namespace, Name: cache.Name, Created: cache.CreationTimestamp, Deleted: cache.DeletionTimestamp,
		Suspended: cache.Spec.Suspend, Current: cache.Status.ObservedGeneration == cache.Generation, Status: cache.Status, Pods: []pod{},
	}
	for i := range pods {
		p := &pods[i]
		one := pod{Name: p.Name, Phase: string(p.Status.Phase), Ready: isReady(p), Ending: p.DeletionTimestamp != nil, Node: p.Spec.NodeName, Created: p.CreationTimestamp}
		for _, c := range p.Status.ContainerStatuses {
			one.Restarts += c.RestartCount
			if c.State.Waiting != nil {
				one.Waits = c.State.Waiting.Reason
			}
		}
		s.Pods = append(s.Pods, one)
	}
	return s
}

func printStatuses(cmd *cobra.Command, all []status, one bool, output command.Output) error {
	out := cmd.OutOrStdout()
	switch {
	case output == command.JSON && one:
		return command.Encode(out, all[0])
	case output == command.JSON:
		return command.Encode(out, all)
	case one:
		return printStatus(out, &all[0])
	case len(all) == 0:
		fmt.Fprintln(cmd.ErrOrStderr(), "There are no WriteBehindCaches in this namespace.")
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "NAME\tREADY\tREASON\tQUEUE\tDLQ\tOLDEST\tPODS\tAGE")
	for i := range all {
		s := &all[i]
		ready, reason := "Unknown", "-"
		if c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionReady); c != nil {
			ready, reason = string(c.Status), c.Reason
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, ready, reason, number(s.Status.QueueDepth), number(s.Status.DeadLetters),
			seconds(s.Status.OldestPendingSeconds), readyPods(s.Pods), age(s.Created))
	}
	return table.Flush()
}

func printStatus(out io.Writer, s *status) error {
	line := func(name, text string) { fmt.Fprintf(out, "%-11s%s\n", name+":", text) }
	line("Resource", s.Namespace+"/"+s.Name)
	line("Capture", string(s.Status.Capture))
	if s.Status.Redis != nil {
		line("Redis", fmt.Sprintf("%s (managed, Secret %s)", s.Status.Redis.Address, s.Status.Redis.SecretName))
	}
	if r := s.Status.Replication; r != nil {
		line("Stream", fmt.Sprintf("bytes behind: %s, seconds behind: %s, of the backlog: %s %%", number(r.BehindBytes), number(r.BehindSeconds), number(r.BacklogPercent)))
	}
	if n := s.Status.DataLossEvents; n != nil && *n > 0 {
		line("Data loss", fmt.Sprintf("events: %d", *n))
	}
	switch {
	case s.Deleted != nil:
		line("Notice", "it is being deleted, since "+age(*s.Deleted))
	case s.Suspended:
		line("Notice", "it is suspended: writes are accepted and not flushed")
	case !s.Current:
		line("Notice", "the operator has not seen the newest spec yet")
	}
	for _, print := range []func(io.Writer, *status){printConditions, printQueues, printPods} {
		fmt.Fprintln(out)
		table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
		print(table, s)
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func printConditions(table io.Writer, s *status) {
	fmt.Fprintln(table, "CONDITION\tSTATUS\tREASON\tSINCE\tMESSAGE")
	for i := range s.Status.Conditions {
		c := &s.Status.Conditions[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", c.Type, c.Status, c.Reason, age(c.LastTransitionTime), printable(c.Message))
	}
}

func printQueues(table io.Writer, s *status) {
	fmt.Fprintln(table, "QUEUE\tPREFIX\tDEPTH\tDLQ\tOLDEST\tFLUSHED\tLAST FLUSH\tLAST ERROR")
	for i := range s.Status.Mappings {
		m := &s.Status.Mappings[i]
		last := "-"
		if !m.LastFlushTime.IsZero() {
			last = age(m.LastFlushTime)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Name, printable(m.KeyPrefix), number(m.QueueDepth), number(m.DeadLetters), seconds(m.OldestPendingSeconds),
			number(m.FlushedTotal), last, printable(m.LastError))
	}
}

func printPods(table io.Writer, s *status) {
	fmt.Fprintln(table, "POD\tREADY\tSTATUS\tRESTARTS\tNODE\tAGE")
	for _, p := range s.Pods {
		phase := p.Phase
		switch {
		case p.Ending:
			phase = "Terminating"
		case p.Waits != "":
			phase = p.Waits
		}
		fmt.Fprintf(table, "%s\t%t\t%s\t%d\t%s\t%s\n", p.Name, p.Ready, printable(phase), p.Restarts, printable(p.Node), age(p.Created))
	}
}

func readyPods(pods []pod) string {
	ready := 0
	for _, p := range pods {
		if p.Ready {
			ready++
		}
	}
	return fmt.Sprintf("%d/%d", ready, len(pods))
}

func number(n *int64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(*n, 10)
}

func seconds(n *int64) string {
	if n == nil || *n == 0 {
		return "-"
	}
	return duration.HumanDuration(time.Duration(*n) * time.Second)
}

func age(t metav1.Time) string {
	if t.IsZero() {
		return "-"
	}
	return duration.HumanDuration(time.Since(t.Time))
}

// printable is a cell of a table.
func printable(text string) string {
	if text == "" {
		return "-"
	}
	return command.Escaped(text)
}
