// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// destination says where an image goes: to the running cluster, or to a file.
type destination struct {
	output string
}

func (d *destination) flag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.output, "output", "",
		"write an archive for `docker load` or `kind load` to this file instead of loading it here")
}

func (d *destination) send(ctx context.Context, o *options, i image) error {
	if d.output == "" {
		c, err := runningCluster(o.dir)
		if err != nil {
			return err
		}
		return step("loading "+i.Name, func() error { return c.load(ctx, i) })
	}
	return step("writing "+i.Name+" to "+d.output, func() error {
		file, err := os.Create(d.output)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := i.write(ctx, file); err != nil {
			return err
		}
		return file.Close()
	})
}

func loadImageCommand(o *options) *cobra.Command {
	var (
		i     image
		to    destination
		files []string
		links []string
	)
	cmd := &cobra.Command{
		Use:   "load-image --name NAME:TAG --file SOURCE=PATH ...",
		Short: "Make an image from files of this machine and load it into the cluster",
		Long: `Make an image from files of this machine and load it into the cluster, without Docker and without a
registry. The image holds what the flags name and nothing else. Give it a tag other than "latest", or set
imagePullPolicy: IfNotPresent, because there is nowhere to pull it from.`,
		Example: `  cluster load-image --name writebehind/operator:dev --user 65532:65532 \
      --file bin/manager=/manager --file bin/flusher=/flusher --entrypoint /manager

  cluster load-image --name tools:1 --program redis-cli --program /bin/dash --link /bin/sh=dash \
      --entrypoint /bin/sh`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, file := range files {
				from, path, ok := strings.Cut(file, "=")
				if !ok {
					path = "/" + filepath.Base(from)
				}
				entry, err := programFile(from, path)
				if err != nil {
					return err
				}
				i.Files = append(i.Files, entry)
			}
			for _, link := range links {
				path, target, ok := strings.Cut(link, "=")
				if !ok || !strings.HasPrefix(path, "/") {
					return fmt.Errorf("--link %s: want /PATH=TARGET", link)
				}
				i.Files = append(i.Files, imageFile{To: path, Link: target})
			}
			for _, folder := range i.Folders {
				if !strings.HasPrefix(folder, "/") {
					return fmt.Errorf("--folder %s: the path must be absolute", folder)
				}
			}
			if len(i.Files)+len(i.Programs) == 0 {
				return errors.New("an image needs at least one --file or --program")
			}
			return to.send(cmd.Context(), o, i)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&i.Name, "name", "", "name and tag of the image")
	flags.StringArrayVar(&files, "file", nil,
		"a file and its path in the image, SOURCE=/PATH; a program must be static (repeatable)")
	flags.StringArrayVar(&i.Programs, "program", nil,
		"a program to copy with the libraries it needs, to the same path as here (repeatable)")
	flags.StringArrayVar(&links, "link", nil, "a symbolic link, /PATH=TARGET (repeatable)")
	flags.StringArrayVar(&i.Folders, "folder", nil, "an empty folder that every user may write to (repeatable)")
	flags.StringArrayVar(&i.Entrypoint, "entrypoint", nil, "the program to start; repeat for its arguments")
	flags.StringArrayVar(&i.Env, "env", nil, "a variable of the environment, NAME=VALUE (repeatable)")
	flags.StringVar(&i.User, "user", "65532:65532", "numeric user and group")
	to.flag(cmd)
	_ = cmd.MarkFlagRequired("name")
	return cmd
}

func loadRedisCommand(o *options) *cobra.Command {
	var (
		imageName string
		to        destination
	)
	cmd := &cobra.Command{
		Use:   "load-redis",
		Short: "Make a Redis image from Debian's packages and load it into the cluster",
		Long: `Make a Redis image from Debian's packages redis-server and redis-tools and load it into the cluster.
It holds redis-server, redis-cli, sha256sum and a shell (/bin/sh), runs as user 999, and has a folder /data.

Debian builds Redis with its protected mode on: without a password or --protected-mode no, it answers
only inside its pod.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := newBuilder(o.cache)
			if err != nil {
				return err
			}
			i, err := redisImage(cmd.Context(), imageName, b.sources)
			if err != nil {
				return err
			}
			return to.send(cmd.Context(), o, i)
		},
	}
	cmd.Flags().StringVar(&imageName, "name", "redis:7.0", "name and tag of the image")
	to.flag(cmd)
	return cmd
}

// redisImage describes the Redis image. 999 is the user of the official Redis image, so manifests that
// name it fit both.
func redisImage(ctx context.Context, imageName, sources string) (image, error) {
	if err := requirePackages(ctx, sources, "redis-server", "redis-tools"); err != nil {
		return image{}, err
	}
	return image{
		Name:     imageName,
		Programs: []string{"/usr/bin/redis-server", "/usr/bin/redis-cli", "/usr/bin/sha256sum", "/bin/dash"},
		Files: []imageFile{
			{To: "/bin/sh", Link: "dash"},
			{To: "/etc/passwd", Content: []byte("redis:x:999:999::/data:/bin/sh\n")},
			{To: "/etc/group", Content: []byte("redis:x:999:\n")},
		},
		Folders:    []string{"/data", "/tmp"},
		Entrypoint: []string{"/usr/bin/redis-server"},
		User:       "999:999",
	}, nil
}

var errStoppedReading = errors.New("containerd stopped reading")

// load streams an image into containerd.
func (c *cluster) load(ctx context.Context, i image) error {
	reader, writer := io.Pipe()
	built := make(chan error, 1)
	go func() {
		err := i.write(ctx, writer)
		writer.CloseWithError(err)
		built <- err
	}()
	err := c.ctr(ctx, reader, "images", "import", "-")
	// When either side fails the other fails too: the first cause is the one to tell.
	reader.CloseWithError(errStoppedReading)
	if buildErr := <-built; buildErr != nil && !errors.Is(buildErr, errStoppedReading) {
		return buildErr
	}
	return err
}
