// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// unreached is what a flusher says that runs its settings and has not brought them to
// the capture functions.
func unreached(redis config.Check) func(*config.Status) {
	return func(s *config.Status) {
		s.Revision, s.Redis, s.ObservedTime = -1, redis, time.Time{}
		s.Queues[0].Journal, s.Queues[0].State = "", ""
		s.Queues[0].Ready = config.Check{Message: "queue products in Redis has not been checked yet"}
	}
}

var _ = Describe("A Redis that was never reached", func() {
	True, False, Unknown := metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown

	It("is told with the reason, and is no fault of the database", func(ctx SpecContext) {
		w := newWorld(ctx)
		w.rollOut(ctx)
		f := w.startFlusher(ctx, "a", unreached(failing(v1alpha1.ReasonConnectionFailed, "the name is not known")))
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionRedisReady, False, v1alpha1.ReasonConnectionFailed, "the name is not known"),
			haveCondition(v1alpha1.ConditionReady, False, v1alpha1.ReasonConnectionFailed, "the name is not known"),
			haveCondition(v1alpha1.ConditionDatabaseReady, True, v1alpha1.ReasonAsExpected),
			haveCondition(v1alpha1.ConditionSettingsApplied, False, v1alpha1.ReasonRolling, "0 of 1", "Pod shop-flusher-a cannot write them to Redis"),
		))
		By("a Redis that answers, whose capture functions have no settings yet")
		f.say(unreached(config.Check{OK: true}))
		Eventually(w.poll(ctx)).Should(SatisfyAll(
			haveCondition(v1alpha1.ConditionRedisReady, True, v1alpha1.ReasonAsExpected),
			haveCondition(v1alpha1.ConditionReady, Unknown, v1alpha1.ReasonProgressing),
			haveCondition(v1alpha1.ConditionSettingsApplied, False, v1alpha1.ReasonRolling),
		))
		f.say(nil)
		Eventually(w.poll(ctx)).Should(beReady())
	})

	It("is told of a spec that is changed to it", func(ctx SpecContext) {
		w, f := readyWorld(ctx)
		w.change(ctx, func(c *v1alpha1.WriteBehindCache) { c.Spec.Database.Postgres.MaxConnections++ })
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionSettingsApplied, False, v1alpha1.ReasonRolling))
		w.startFlusher(ctx, "b", unreached(failing(v1alpha1.ReasonConnectionFailed, "the name is not known")))
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionReady, False, v1alpha1.ReasonConnectionFailed, "the name is not known"))
		f.end(ctx)
	})

	It("is not guessed at from a flusher that tells only of settings in force", func(ctx SpecContext) {
		w := newWorld(ctx)
		w.rollOut(ctx)
		silent := unreached(failing(v1alpha1.ReasonConnectionFailed, "the name is not known"))
		f := w.startFlusher(ctx, "a", func(s *config.Status) {
			silent(s)
			s.RunningRevision = 0
		})
		Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionRedisReady, Unknown, v1alpha1.ReasonProgressing, "No flusher that answers has tried"))
		f.say(func(s *config.Status) { s.RunningRevision = 0 })
		Eventually(w.poll(ctx)).Should(beReady())
	})

	It("comes with what its own Pod waits for", func(ctx SpecContext) {
		w := newWorld(ctx)
		w.startFlusher(ctx, "a", unreached(failing(v1alpha1.ReasonConnectionFailed, "the name is not known")))
		pod := &flusher{pod: &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: w.cache.Namespace, Name: "shop-redis-0", Labels: resources.Labels(w.cache, resources.ComponentRedis),
			},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "redis", Image: "nowhere:7"}}},
		}}
		Expect(k8s.Create(ctx, pod.pod)).To(Succeed())
		waits := waitingPod("ImagePullBackOff", "Back-off pulling image for 20s")
		waits.ContainerStatuses[0].Name = "redis"
		pod.setStatus(ctx, waits)
		for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionRedisReady} {
			Eventually(w.poll(ctx)).Should(haveCondition(kind, False, v1alpha1.ReasonConnectionFailed, "Pod shop-redis-0 cannot pull image nowhere:7"))
		}
	})

	It("is told of a real flusher in each way that it can be out of reach", func(ctx SpecContext) {
		folder := GinkgoT().TempDir()
		Expect(programs.Build(ctx, folder, nil, "cmd/flusher")).To(Succeed())
		server := journaltest.New(GinkgoTB(), journaltest.Password("right"))
		for _, c := range []struct {
			address, password, reason, text string
		}{
			{"nowhere.invalid:6379", "right", v1alpha1.ReasonConnectionFailed, "nowhere.invalid"},
			{server.Addr(), "wrong", v1alpha1.ReasonAuthenticationFailed, "Secret shop-redis, key password"},
			{server.Addr(), "", v1alpha1.ReasonSecretMissing, "Secret shop-redis, key password"},
		} {
			By(c.reason)
			w := newWorld(ctx, func(cache *v1alpha1.WriteBehindCache) {
				cache.Spec.Redis = v1alpha1.Redis{External: &v1alpha1.ExternalRedis{
					Addresses:            []string{c.address},
					CredentialsSecretRef: &v1alpha1.CredentialsSecretRef{Name: "shop-redis", PasswordKey: "password"},
				}}
			})
			w.rollOut(ctx)
			settings, err := w.settings(ctx)
			Expect(err).NotTo(HaveOccurred())
			files := GinkgoT().TempDir()
			settings.ListenAddress = "127.0.0.1:0"
			settings.Redis.External.PasswordFile = filepath.Join(files, "password")
			settings.Database.Postgres.URLFile = filepath.Join(files, "uri")
			if c.password != "" {
				Expect(os.WriteFile(settings.Redis.External.PasswordFile, []byte(c.password), 0o600)).To(Succeed())
			}
			text, err := settings.Marshal()
			Expect(err).NotTo(HaveOccurred())
			path := filepath.Join(files, "config.yaml")
			Expect(os.WriteFile(path, text, 0o600)).To(Succeed())
			real := programs.RunFlusher(GinkgoTB(), programs.Patience{Limit: patience, Interval: polling}, exec.Command(filepath.Join(folder, "flusher"), "--config", path))
			w.startFlusherAt(ctx, "a", real.Address)
			Eventually(w.poll(ctx)).Should(SatisfyAll(
				haveCondition(v1alpha1.ConditionRedisReady, False, c.reason, c.text),
				haveCondition(v1alpha1.ConditionReady, False, c.reason, c.text),
				haveCondition(v1alpha1.ConditionDatabaseReady, False, v1alpha1.ReasonSecretMissing,
					"flusher pod shop-flusher-a says: Secret shop-db is missing or has no key uri: [a command, for which see the pod's log]; "+
						"run: kubectl create secret generic shop-db --from-literal=uri='postgres://"),
				haveCondition(v1alpha1.ConditionSettingsApplied, False, v1alpha1.ReasonRolling, "cannot write them to Redis"),
			))
			Expect(os.WriteFile(settings.Database.Postgres.URLFile, []byte("jdbc:postgresql://db/shop"), 0o600)).To(Succeed())
			Eventually(w.poll(ctx)).Should(haveCondition(v1alpha1.ConditionDatabaseReady, False, v1alpha1.ReasonInvalidURL,
				"the connection URL in Secret shop-db, key uri cannot be used: it is one of JDBC: give postgres://"))
			w.discard(ctx) // the next one names the same queue
		}
	})
})
