// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/load"
)

const (
	// upgradeVariable names the commit to come from. Without it the newest one is
	// taken whose programs or CRD are others than the present commit's.
	upgradeVariable = "UPGRADE_FROM"
	// flushGap is how long an upgrade may keep everything from being flushed: the
	// time of a Pod's start and of a lease on a busy machine. It is 0.2 s between
	// equal function libraries in Redis, and 1.6 s to a new one, which the earlier
	// flusher cannot work with until it is replaced.
	flushGap = 30 * time.Second
	// upgradeRate is what the application writes in one second meanwhile.
	upgradeRate = 2_000
)

// earlier is an earlier commit of this project, built.
type earlier struct {
	commit string
	folder string
	image  string
}

// buildEarlier builds both programs of an earlier commit and loads them as an
// image into the cluster. Nothing of the checkout changes for it.
func buildEarlier(ctx context.Context) *earlier {
	GinkgoHelper()
	e := &earlier{commit: os.Getenv(upgradeVariable), folder: GinkgoT().TempDir()}
	git := func(args ...string) []byte {
		GinkgoHelper()
		return command(ctx, exec.CommandContext(ctx, "git", append([]string{"-C", cluster.Path()}, args...)...))
	}
	if e.commit == "" && strings.TrimSpace(string(git("rev-parse", "--is-shallow-repository"))) == "true" {
		Skip("this clone is shallow and holds no earlier commit: git fetch --unshallow, or name a commit in " + upgradeVariable)
	}
	if e.commit == "" {
		changed := strings.TrimSpace(string(git("log", "-1", "--format=%H", "--", "api", "config/crd", "cmd", "internal", "go.mod")))
		e.commit = changed + "^"
	}
	e.commit = strings.TrimSpace(string(git("rev-parse", "--verify", e.commit+"^{commit}")))
	archive := git("archive", e.commit)
	unpack := exec.CommandContext(ctx, "tar", "--extract", "--directory", e.folder)
	unpack.Stdin = bytes.NewReader(archive)
	command(ctx, unpack)

	bin := filepath.Join(e.folder, "bin") + string(filepath.Separator)
	compile := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+e.commit[:12], "-o", bin, "./cmd/manager", "./cmd/flusher")
	compile.Dir = e.folder
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	command(ctx, compile)

	e.image = "writebehind/operator:from-" + e.commit[:12]
	command(ctx, exec.CommandContext(ctx, os.Getenv("CLUSTER_TOOL"), "load-image", "--name", e.image, "--entrypoint", "/manager",
		"--file", bin+"manager=/manager", "--file", bin+"flusher=/flusher"))
	return e
}

// deploy installs the earlier commit's CRD, rights and operator in the place of
// the present ones.
func (e *earlier) deploy(ctx context.Context) {
	GinkgoHelper()
	build := exec.CommandContext(ctx, filepath.Join(e.folder, "hack", "kustomize-image.sh"), "default")
	build.Env = append(os.Environ(), "IMG="+e.image)
	_, err := cluster.Apply(ctx, command(ctx, build), "--force-conflicts")
	Expect(err).NotTo(HaveOccurred())
	_, err = cluster.Kubectl(ctx, "rollout", "status", "deployment", operator.Name, "-n", operator.Namespace, "--timeout", startTimeout.String())
	Expect(err).NotTo(HaveOccurred())
}

func command(_ context.Context, c *exec.Cmd) []byte {
	GinkgoHelper()
	var out, said bytes.Buffer
	c.Stdout, c.Stderr = &out, &said
	Expect(c.Run()).To(Succeed(), "%s: %s", c, &said)
	return out.Bytes()
}

// gaps watches how long nothing is flushed at a time while something is written.
type gaps struct {
	stop    context.CancelFunc
	ended   sync.WaitGroup
	longest time.Duration
	at      time.Time
}

// watchGaps looks at the queue's own count of flushed entries until it is stopped.
func (s *shop) watchGaps(ctx context.Context) *gaps {
	ctx, stop := context.WithCancel(ctx)
	g := &gaps{stop: stop}
	g.ended.Go(func() {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		var flushed int64
		since := time.Now()
		for ctx.Err() == nil {
			now := time.Now()
			if stats, err := s.load.Stats(ctx); err == nil && stats.Flushed != flushed {
				flushed, since = stats.Flushed, now
			}
			if now.Sub(since) > g.longest {
				g.longest, g.at = now.Sub(since), since
			}
			<-ticker.C
		}
	})
	return g
}

// end is the longest time in which nothing was flushed.
func (g *gaps) end() (time.Duration, time.Time) {
	g.stop()
	g.ended.Wait()
	return g.longest, g.at
}

var _ = Describe("An upgrade from an earlier commit", Ordered, Serial, func() {
	var s *shop
	var before *earlier

	BeforeAll(func(ctx SpecContext) {
		before = buildEarlier(ctx)
		s = newShop(ctx, "upgrade")
		s.database.exec(ctx, load.CreateTable)
		s.applySecret(ctx)
		// Others find the present operator, whatever becomes of this one.
		DeferCleanup(func(ctx SpecContext) error {
			_, err := cluster.DeployOperator(ctx, image)
			return err
		})
		before.deploy(ctx)
	}, NodeTimeout(10*time.Minute))

	AfterEach(func(ctx SpecContext) {
		if CurrentSpecReport().Failed() {
			dump(ctx, s.namespace, operator.Namespace)
		}
	})

	It("goes on flushing, and loses nothing that was acknowledged on the way", func(ctx SpecContext) {
		By("making a resource under the earlier operator " + before.commit[:12])
		s.applySample(ctx, before.folder)
		s.patch(ctx, `{"flush":{"intervalMilliseconds":100}}`)
		healthy := SatisfyAll(
			HaveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue),
			HaveCondition(v1alpha1.ConditionSettingsApplied, metav1.ConditionTrue),
		)
		Eventually(ctx, s.cache(ctx)).WithTimeout(startTimeout).Should(healthy)
		was := s.deployment(ctx)
		Expect(was.Image).To(Equal(before.image))

		By("writing all the time")
		s.load = s.connect(ctx, load.Options{Keys: 2000, Workers: 2, Pipeline: 20, DeletePercent: 5})
		var enough atomic.Bool
		ended := make(chan error, 1)
		go func() { ended <- s.writeUntil(ctx, &enough) }()
		// Every key is written once first; from then on, flushing never pauses.
		Eventually(ctx, s.load.Acknowledged).Should(BeNumerically(">", 3*upgradeRate))
		usual := s.watchGaps(ctx)
		acknowledged := s.load.Acknowledged()
		Eventually(ctx, s.load.Acknowledged).Should(BeNumerically(">", acknowledged+5*upgradeRate))
		pause, _ := usual.end()

		By("upgrading the CRD and the operator, which upgrades the flushers")
		watched := s.watchGaps(ctx)
		began := time.Now()
		_, err := cluster.DeployOperator(ctx, image)
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func() rollout { return s.deployment(ctx) }).WithTimeout(startTimeout).Should(SatisfyAll(
			HaveField("Image", image), HaveField("Ready", BeEquivalentTo(1)), HaveField("Updated", BeEquivalentTo(1)), HaveField("Replicas", BeEquivalentTo(1))))
		Eventually(ctx, s.cache(ctx)).WithTimeout(startTimeout).Should(healthy)
		took := time.Since(began)
		acknowledged = s.load.Acknowledged()
		Eventually(ctx, s.load.Acknowledged).Should(BeNumerically(">", acknowledged+5*upgradeRate), "writes go on")
		gap, at := watched.end()
		told := fmt.Sprintf("from %s: upgraded in %.1f s; the longest time without a flush was %.2f s, %.1f s after the upgrade began (%.2f s before it)",
			before.commit[:12], took.Seconds(), gap.Seconds(), at.Sub(began).Seconds(), pause.Seconds())
		AddReportEntry("the gap in flushing", told, ReportEntryVisibilityAlways)
		Expect(gap).To(BeNumerically("<", flushGap))

		By("comparing every row with the last acknowledged write of its key")
		enough.Store(true)
		Eventually(ctx, ended).WithTimeout(flushTimeout).Should(Receive(Succeed()))
		Eventually(ctx, s.depth(ctx)).WithTimeout(flushTimeout).Should(BeZero())
		s.expectEqual(ctx)
		stats, err := s.load.Stats(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(stats.Flushed+stats.Coalesced).To(Equal(stats.Writes), "every write was flushed or coalesced into a later one")
		Expect(s.now(ctx).Status.DataLossEvents).To(HaveValue(BeZero()))
		Expect(s.now(ctx).Status.DeadLetters).To(HaveValue(BeZero()))

		By("looking for restarts beyond the one roll")
		is := s.deployment(ctx)
		Expect(is.Revision).To(Equal(was.Revision+1), "the flushers are rolled once")
		for _, pod := range s.flusherPods(ctx) {
			Expect(pod).To(HaveSuffix(" 0"), "no container of a flusher restarts")
		}
	}, SpecTimeout(8*time.Minute))
})

// writeUntil writes, a few seconds' worth at a time, until it is enough. A call is
// never broken off, so that it is known of each write whether it was acknowledged.
func (s *shop) writeUntil(ctx context.Context, enough *atomic.Bool) error {
	for !enough.Load() {
		if err := s.load.Run(ctx, load.Volume{Writes: 10 * upgradeRate, Rate: upgradeRate}); err != nil {
			return err
		}
	}
	return nil
}

// rollout is how far the flushers' Deployment has got.
type rollout struct {
	Image                    string
	Revision                 int
	Ready, Updated, Replicas int32
}

func (s *shop) deployment(ctx context.Context) rollout {
	GinkgoHelper()
	deployment, err := cluster.DeploymentOf(ctx, s.now(ctx))
	Expect(err).NotTo(HaveOccurred())
	r := rollout{
		Image: deployment.Spec.Template.Spec.Containers[0].Image,
		Ready: deployment.Status.ReadyReplicas, Updated: deployment.Status.UpdatedReplicas, Replicas: deployment.Status.Replicas,
	}
	_, _ = fmt.Sscan(deployment.Annotations["deployment.kubernetes.io/revision"], &r.Revision)
	return r
}
