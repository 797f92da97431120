// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// endTimeout bounds how long ended processes may take to go; they hold files and control groups until then.
const endTimeout = 30 * time.Second

const reapTimeout = 500 * time.Millisecond

func downCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "End the cluster and remove every trace of it but the built binaries",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return down(cmd.Context(), o)
		},
	}
}

func down(ctx context.Context, o *options) error {
	c, err := openCluster(o.dir)
	if errors.Is(err, errNoCluster) {
		fmt.Fprintf(os.Stderr, "There is no cluster in %s.\n", o.dir)
		// An `up` that ended before it had made anything leaves the folder empty.
		if err := os.Remove(o.dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errNotRoot
	}
	unlock, err := lockFolder(c.dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := step("ending the cluster in "+c.dir, func() error { return c.end(ctx) }); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "The built binaries stay in %s; remove them with:\n  rm -r %s\n",
		c.state.Binaries, c.state.Binaries)
	return nil
}

// end removes what a cluster makes, whether or not it came up whole. The folder goes last and only when
// everything else is gone, so that a `down` that fails can be repeated.
func (c *cluster) end(ctx context.Context) error {
	// The state may be older than a process that was just being started; what is in the node's namespaces
	// is found by the kernel, and the rest by the control group.
	for _, p := range c.state.Processes {
		if c.alive(p) {
			p.kill()
		}
	}
	cgroups, err := c.cgroups()
	if err != nil {
		return err
	}
	if err := poll(ctx, endTimeout, nil, func(context.Context) error { return c.ended(cgroups) }); err != nil {
		return err
	}
	// Ended processes stay listed until the machine's process 1 has seen to them. It may never do so, in a
	// container for instance, so this wait is short and its end no error.
	_ = poll(ctx, reapTimeout, nil, func(context.Context) error { return c.reaped() })
	if err := c.disconnect(ctx); err != nil {
		return err
	}
	if err := writeSysctls(c.state.Sysctls); err != nil {
		return err
	}
	if err := c.unmount(); err != nil {
		return err
	}
	return os.RemoveAll(c.dir)
}

// ended kills what is left in the control groups and removes them, and says what is not gone yet.
func (c *cluster) ended(cgroups []string) error {
	for _, p := range c.state.Processes {
		if c.alive(p) {
			return fmt.Errorf("%s (process %d) is still there", p.Name, p.PID)
		}
	}
	for _, folder := range cgroups {
		for _, pid := range cgroupProcesses(folder) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err := removeCgroup(folder); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) reaped() error {
	for _, p := range c.state.Processes {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", p.PID)); err == nil && !p.alive() {
			return fmt.Errorf("process %d is still listed", p.PID)
		}
	}
	return nil
}

// unmount takes away mounts below the folder. The cluster's own are in the node's namespace and gone with
// it; but removing a folder with somebody else's mount in it would remove what is mounted.
func (c *cluster) unmount() error {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	points := mountsBelow(string(content), c.dir)
	for _, point := range slices.Backward(points) {
		if err := syscall.Unmount(point, 0); err != nil {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	return nil
}

// mountsBelow lists the mount points in a folder, in the order in which they were mounted.
func mountsBelow(mountinfo, dir string) []string {
	var points []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		const mountPoint = 4
		if len(fields) <= mountPoint {
			continue
		}
		// The kernel writes spaces and the like as octal numbers.
		point := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(fields[mountPoint])
		if strings.HasPrefix(point, dir+"/") {
			points = append(points, point)
		}
	}
	return points
}
