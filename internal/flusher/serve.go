// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/writebehind/operator/internal/flusher/config"
)

// Serve runs the config file at path until the context ends. Live settings are
// applied as the file changes; anything else makes the flusher stop as it would at
// its end and a new one start. The error is that of an unusable config at the
// start or of an address that cannot be listened on; a file that becomes unusable
// later is logged, and the last good config stays in force.
func Serve(ctx context.Context, path string, options Options) error {
	options = options.withDefaults()
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read config: %w", err)
	}
	c, err := config.Read(path)
	if err != nil {
		return err
	}
	changes := make(chan *config.Config)
	watching, stopWatching := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	defer watcher.Wait()
	defer stopWatching()
	watcher.Go(func() {
		config.Watch(watching, path, data, func(c *config.Config, err error) {
			if err != nil {
				options.Log.Error("Config is unusable, the last good one stays in force", "error", err)
				return
			}
			select {
			case changes <- c:
			case <-watching.Done():
			}
		})
	})
	for c != nil {
		if c, err = serveOne(ctx, c, changes, options); err != nil {
			return err
		}
	}
	return nil
}

// serveOne runs one flusher until the context ends, and then returns nil, or until
// a config arrives that it cannot take over, and then returns that.
func serveOne(ctx context.Context, c *config.Config, changes <-chan *config.Config, options Options) (*config.Config, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	options.Registry = registry
	f := New(c, options)
	server, err := listen(ctx, c.ListenAddress, Handler(f, registry), options)
	if err != nil {
		return nil, err
	}
	defer server.stop()

	running, stop := context.WithCancel(ctx)
	defer stop()
	var flusher sync.WaitGroup
	flusher.Go(func() { f.Run(running) })
	defer flusher.Wait()
	for {
		select {
		case <-ctx.Done():
			flusher.Wait()
			return nil, nil
		case next := <-changes:
			if next.SameStructure(c) {
				c = next
				f.Apply(c)
				continue
			}
			options.Log.Info("Config has changed in more than live settings, the flusher starts anew", "revision", next.Revision)
			stop()
			flusher.Wait()
			return next, nil
		}
	}
}

// webServer is the flusher's HTTP server while it listens.
type webServer struct {
	server *http.Server
	done   chan struct{}
}

func listen(ctx context.Context, address string, handler http.Handler, options Options) (*webServer, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listenAddress: %w", err)
	}
	s := &webServer{
		// A scraper that stops in the middle of its request must not hold a
		// connection for ever.
		server: &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second},
		done:   make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			options.Log.Error("Could not go on serving", "address", address, "error", err)
		}
	}()
	options.Log.Info("Serving metrics, health and status", "address", listener.Addr().String())
	return s, nil
}

func (s *webServer) stop() {
	// Nothing that is being read is worth waiting for at the end.
	_ = s.server.Close()
	<-s.done
}
