// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
)

// Serve runs the config file at path until the context ends. Live settings are
// applied as the file changes; anything else makes the flusher stop as it would at
// its end and a new one start. The error is that of an unusable config at the
// start or of an address that cannot be listened on then. A config that becomes
// unusable later is logged, and the last good one stays in force.
func Serve(ctx context.Context, path string, options flusher.Options) error {
	options = options.WithDefaults()
	file, c, err := config.Open(path)
	if err != nil {
		return err
	}
	s := &service{options: options, changes: make(chan *config.Config)}
	// Before anything else happens, so that an unusable address is all that a
	// person has to read.
	if s.site, err = listen(ctx, c.ListenAddress, options); err != nil {
		return err
	}
	defer func() { s.site.stop() }()
	watching, stopWatching := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	defer watcher.Wait()
	defer stopWatching()
	watcher.Go(func() {
		file.Watch(watching, func(c *config.Config, err error) {
			if err != nil {
				options.Log.Error("Config is unusable: the last good one stays in force", "error", err)
				return
			}
			select {
			case s.changes <- c:
			case <-watching.Done():
			}
		})
	})
	for c != nil {
		c = s.serveOne(ctx, c)
	}
	return nil
}

// service is what outlives a flusher when the config changes in more than live
// settings.
type service struct {
	options flusher.Options
	changes chan *config.Config
	site    *site
}

// serveOne runs one flusher until the context ends, and then returns nil, or until
// a config arrives that it cannot take over, and then returns that.
func (s *service) serveOne(ctx context.Context, c *config.Config) *config.Config {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	options := s.options
	options.Registry = registry
	f := New(c, options)
	s.site.show(Handler(f, registry))

	running, stop := context.WithCancel(ctx)
	var flusher sync.WaitGroup
	flusher.Go(func() { f.Run(running) })
	defer func() {
		stop()
		flusher.Wait()
	}()

	for {
		select {
		case <-ctx.Done():
			return nil
		case next := <-s.changes:
			if next.SameStructure(c) {
				c = next
				f.Apply(c)
				continue
			}
			if err := s.move(ctx, next.ListenAddress); err != nil {
				options.Log.Error("Config cannot take effect: the last good one stays in force", "error", err, "revision", next.Revision)
				continue
			}
			options.Log.Info("Config has changed in more than live settings: the flusher restarts", "revision", next.Revision)
			return next
		}
	}
}

// move takes the address of a flusher that is to start, before the present one is given
// up: one that cannot be listened on stops nothing.
func (s *service) move(ctx context.Context, address string) error {
	if address == s.site.address {
		return nil
	}
	next, err := listen(ctx, address, s.options)
	if err != nil {
		return err
	}
	next.show(s.site.shown())
	s.site.stop()
	s.site = next
	return nil
}
