// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/command"
)

// flusherContainer is the container of a flusher's pod.
const flusherContainer = "flusher"

// untilStdinEnds has a command of the flusher end when nobody waits for it any more.
const untilStdinEnds = "--until-stdin-ends"

// forward is a command of the flusher that runs in a pod.
type forward struct{ name, usage, short string }

// forwarded are all of them.
var forwarded = []forward{
	{"explain", "explain NAME KEY", "Tell all of one key: what waits of it, Redis and its row side by side, and what happens next."},
	{"verify", "verify NAME [KEY...]", "Compare Redis with the tables: keys whose row is missing or different."},
	{"repair", "repair NAME (KEY... | --queue NAME | --prefix PREFIX | --all)", "Have keys flushed again whose row is missing or different."},
	{"dlq", "dlq NAME (list | show | replay | discard)", "Show, replay or discard dead letters."},
}

// command passes what follows the resource's name on as it is, but for the flags that name the
// cluster and the namespace.
func (f forward) command(dial dialer) *cobra.Command {
	return &cobra.Command{
		Use:   f.usage + " [flags of flusher " + f.name + "]",
		Short: f.short,
		Long: f.short + `

NAME is the WriteBehindCache. The command runs in a pod of its flushers, as
kubectl exec does, with everything behind NAME: kubectl writebehind ` + f.name + ` NAME --help
lists its flags. The exit code is that of the command, or 1 where it could not be run.`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, rest, err := split(args)
			if err != nil {
				return err
			}
			if len(rest) == 0 || rest[0] == "-h" || rest[0] == "--help" {
				return cmd.Help()
			}
			if strings.HasPrefix(rest[0], "-") {
				return fmt.Errorf("%q is not allowed here: give the WriteBehindCache first, as in %s", rest[0], f.usage)
			}
			c, err := dial(t)
			if err != nil {
				return err
			}
			return c.inFlusher(cmd, rest[0], append([]string{"/flusher", f.name, untilStdinEnds}, rest[1:]...))
		},
	}
}

// split takes the flags that name cluster and namespace out of the others. What follows -- is
// passed on.
func split(args []string) (*target, []string, error) {
	var t target
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	t.bind(flags)
	var rest []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return &t, append(rest, args[i:]...), nil
		}
		name, value, given := strings.Cut(arg, "=")
		if joined, short := strings.CutPrefix(arg, "-n"); short {
			name, given = "--namespace", joined != ""
			value = strings.TrimPrefix(joined, "=")
		}
		flag := flags.Lookup(strings.TrimPrefix(name, "--"))
		if !strings.HasPrefix(name, "--") || flag == nil {
			rest = append(rest, arg)
			continue
		}
		if !given {
			if i++; i == len(args) {
				return nil, nil, fmt.Errorf("%s: a value is missing", name)
			}
			value = args[i]
		}
		if err := flag.Value.Set(value); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return &t, rest, nil
}

// inFlusher runs a command in one of the resource's flushers.
func (c *cluster) inFlusher(cmd *cobra.Command, name string, words []string) error {
	cache, err := c.resource(cmd.Context(), name)
	if err != nil {
		return err
	}
	pod, err := c.flusher(cmd.Context(), cache)
	if err != nil {
		return err
	}
	code, err := c.exec(cmd.Context(), cache.Namespace, pod, flusherContainer, words, cmd.OutOrStdout(), cmd.ErrOrStderr())
	switch {
	case err != nil:
		return command.Failed("run %s in pod %s: %w", strings.Join(words[:2], " "), pod, err)
	case code != 0:
		return &command.Exit{Code: code}
	}
	return nil
}

// flushers are the pods of the resource's flushers, by their names.
func (c *cluster) flushers(ctx context.Context, cache *v1alpha1.WriteBehindCache) ([]corev1.Pod, error) {
	if cache.Status.Selector == "" {
		return nil, nil
	}
	selector, err := labels.Parse(cache.Status.Selector)
	if err != nil {
		return nil, command.Failed("status.selector: %w", err)
	}
	var pods corev1.PodList
	if err := c.client.List(ctx, &pods, client.InNamespace(cache.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, command.Failed("list the pods of the flushers: %w", err)
	}
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	return pods.Items, nil
}

// flusher is a pod to run a command in: a ready one or, since a flusher is not ready while a server
// is away, which is when somebody asks, any that runs.
func (c *cluster) flusher(ctx context.Context, cache *v1alpha1.WriteBehindCache) (string, error) {
	pods, err := c.flushers(ctx, cache)
	if err != nil {
		return "", err
	}
	all := len(pods)
	pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool { return p.Status.Phase != corev1.PodRunning || p.DeletionTimestamp != nil })
	for _, fits := range []func(*corev1.Pod) bool{isReady, containerRuns, func(*corev1.Pod) bool { return true }} {
		if i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return fits(&p) }); i >= 0 {
			return pods[i].Name, nil
		}
	}
	return "", command.Failed("no flusher of %s runs in namespace %s (pods: %d): see kubectl writebehind status %s; with flusher.replicas 0 there is none",
		cache.Name, cache.Namespace, all, cache.Name)
}

// containerRuns tells a pod whose flusher is at work from one that waits to be started again: both
// are Running.
func containerRuns(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return c.Name == flusherContainer && c.State.Running != nil })
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
