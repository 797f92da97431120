// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/load/native"
)

// nativeKeys is how many keys of each kind there are, nativeRate how many commands are given a
// second.
const nativeKeys, nativeRate = 500, 1000

// writer is an application that knows nothing of the project.
type writer struct {
	end     context.CancelFunc
	group   sync.WaitGroup
	written atomic.Int64
	refused atomic.Value
}

// write begins to write, until the writer is stopped.
func (s *shop) write(ctx context.Context) *writer {
	// It goes on from one spec to the next.
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	w := &writer{end: end}
	const pipeline = 50
	random := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), uint64(time.Now().UnixNano()))) //nolint:gosec // Not a secret.
	limiter := rate.NewLimiter(nativeRate/pipeline, 1)
	w.group.Go(func() {
		for limiter.Wait(ctx) == nil {
			commands, _ := native.Commands(random, nativeKeys, pipeline)
			_, err := s.redis.Pipelined(context.WithoutCancel(ctx), func(p redis.Pipeliner) error {
				for _, command := range commands {
					p.Do(ctx, native.Words(command)...)
				}
				return nil
			})
			if err != nil {
				w.refused.Store(err)
				continue
			}
			w.written.Add(int64(len(commands)))
		}
	})
	return w
}

// stop ends what write began, and tells whether Redis took every write.
func (w *writer) stop() error {
	w.end()
	w.group.Wait()
	err, _ := w.refused.Load().(error)
	return err
}

// goesOn waits until more is written.
func (w *writer) goesOn(ctx context.Context) {
	GinkgoHelper()
	before := w.written.Load()
	Eventually(ctx, w.written.Load).Should(BeNumerically(">", before+nativeRate))
}

// differences says in which tables the rows are not what the keys are; it is made to be polled.
func (s *shop) differences(ctx context.Context) func() error {
	return func() error {
		tables, err := native.Read(ctx, s.redis)
		return errors.Join(err, s.compare(ctx, tables))
	}
}

func (s *shop) compare(ctx context.Context, tables []native.Table) (err error) {
	for i := range tables {
		rows, failed := tables[i].Rows(ctx, s.database.db, "public")
		if difference := native.Difference(tables[i].Keys, rows); failed != nil || difference != "" {
			err = errors.Join(err, failed, fmt.Errorf("%s: %s", tables[i].Name, difference))
		}
	}
	return err
}

// losses counts the data-loss events of all mappings.
func (s *shop) losses(ctx context.Context) (n int64) {
	GinkgoHelper()
	for _, m := range s.now(ctx).Status.Mappings {
		if m.DataLossEvents != nil {
			n += *m.DataLossEvents
		}
	}
	return n
}

// text reads one value of the database, "" when there is none; it is made to be polled.
func (s *shop) text(ctx context.Context, query string) func() (string, error) {
	return func() (text string, err error) {
		err = s.database.db.QueryRow(ctx, "SELECT coalesce(("+query+")::text, '')").Scan(&text)
		return text, err
	}
}

// mappings replaces the spec's as an edit of them makes them.
func (s *shop) mappings(ctx context.Context, edit func([]v1alpha1.Mapping) []v1alpha1.Mapping) {
	GinkgoHelper()
	encoded, err := json.Marshal(edit(s.now(ctx).Spec.Mappings))
	Expect(err).NotTo(HaveOccurred())
	s.patch(ctx, fmt.Sprintf(`{"mappings":%s}`, encoded))
}

var _ = Describe("A WriteBehindCache of capture Replication", Ordered, func() {
	var s *shop
	var w *writer

	BeforeAll(func(ctx SpecContext) {
		s = newShop(ctx, "native")
		s.applySecret(ctx)
		text, err := os.ReadFile(cluster.Path("config", "samples", native.Sample))
		Expect(err).NotTo(HaveOccurred())
		for _, table := range native.Definitions(string(text)) {
			s.database.exec(ctx, "CREATE TABLE "+table)
		}
		object := resourceOf(text)
		Expect(unstructured.SetNestedField(object.Object, databaseSecret, "spec", "database", "postgres", "urlSecretRef", "name")).To(Succeed())
		s.applyObject(ctx, object)
	})

	AfterEach(func(ctx SpecContext) {
		if CurrentSpecReport().Failed() {
			dump(ctx, s.namespace, operator.Namespace)
		}
	})

	AfterAll(func() {
		if w != nil {
			_ = w.stop()
		}
		if s.redis != nil {
			_ = s.redis.Close()
		}
	})

	It("becomes Ready, and carries what an application writes that knows nothing of it", func(ctx SpecContext) {
		Eventually(ctx, s.cache(ctx)).WithTimeout(startTimeout).Should(HaveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue))
		address, err := cluster.Redis(ctx, s.now(ctx))
		Expect(err).NotTo(HaveOccurred())
		secrets = append(secrets, address.Password)
		s.redis = redis.NewClient(address)
		w = s.write(ctx)
		w.goesOn(ctx)
		Expect(w.stop()).To(Succeed())
		Eventually(ctx, s.differences(ctx)).WithTimeout(flushTimeout).Should(Succeed())
	}, SpecTimeout(startTimeout+time.Minute))

	It("loses nothing when its flusher is killed under load", func(ctx SpecContext) {
		w = s.write(ctx)
		for range 2 {
			w.goesOn(ctx)
			pod := s.readyFlusher(ctx)
			Expect(cluster.Client.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
			Eventually(ctx, func() types.UID { return s.readyFlusher(ctx).UID }).WithTimeout(startTimeout).ShouldNot(Equal(pod.UID))
		}
		w.goesOn(ctx)
		Expect(w.stop()).To(Succeed(), "Redis takes writes without a flusher")
		Eventually(ctx, s.differences(ctx)).WithTimeout(startTimeout).Should(Succeed())
		Expect(s.losses(ctx)).To(BeZero())
	}, SpecTimeout(2*startTimeout+time.Minute))

	It("holds writes back while it is suspended under load, and Redis takes them", func(ctx SpecContext) {
		w = s.write(ctx)
		s.tune(ctx, `{"suspend":true}`)
		Eventually(ctx, s.cache(ctx)).Should(HaveCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonSuspended))
		Expect(s.redis.Set(ctx, "product:suspended", `{"name":"held"}`, 0).Err()).To(Succeed())
		name := s.text(ctx, "SELECT name FROM products WHERE id = 'suspended'")
		Consistently(ctx, name).WithTimeout(3 * time.Second).Should(BeEmpty())
		w.goesOn(ctx)
		s.tune(ctx, `{"suspend":false}`)
		Eventually(ctx, name).Should(Equal("held"))
		Expect(s.redis.Del(ctx, "product:suspended").Err()).To(Succeed())
		Expect(w.stop()).To(Succeed())
		Eventually(ctx, s.differences(ctx)).WithTimeout(flushTimeout).Should(Succeed())
	}, SpecTimeout(2*time.Minute))

	It("pauses one mapping whose table does not fit, and carries the others", func(ctx SpecContext) {
		w = s.write(ctx)
		s.database.exec(ctx, "ALTER TABLE views RENAME TO views_of_old")
		Eventually(ctx, s.cache(ctx)).WithTimeout(reportTimeout).Should(
			HaveCondition(v1alpha1.ConditionDatabaseReady, metav1.ConditionFalse, v1alpha1.ReasonSchemaMismatch, "views"))
		Expect(s.redis.Set(ctx, "product:meanwhile", `{"name":"carried"}`, 0).Err()).To(Succeed())
		Eventually(ctx, s.text(ctx, "SELECT name FROM products WHERE id = 'meanwhile'")).Should(Equal("carried"))
		Expect(s.redis.Del(ctx, "product:meanwhile").Err()).To(Succeed())
		s.database.exec(ctx, "ALTER TABLE views_of_old RENAME TO views")
		w.goesOn(ctx)
		Expect(w.stop()).To(Succeed())
		Eventually(ctx, s.differences(ctx)).WithTimeout(flushTimeout).Should(Succeed())
		Eventually(ctx, s.cache(ctx)).WithTimeout(reportTimeout).Should(HaveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue))
		Expect(s.losses(ctx)).To(BeZero())
	}, SpecTimeout(2*time.Minute))

	It("carries the keys of a mapping that is added under load, and lets go of it", func(ctx SpecContext) {
		const carts = 100
		w = s.write(ctx)
		// The application has no right to keys of no mapping: an administrator in the Pod makes these.
		_, err := cluster.Kubectl(ctx, "exec", "-n", s.namespace, s.key.Name+"-redis-0", "--", "sh", "-c", fmt.Sprintf(
			`. /etc/redis/users.sh; n=0 commands=
			while [ $n -lt %d ]; do commands="${commands}HSET cart:$n items $n$end_of_line" n=$((n + 1)); done
			ask "$commands"`, carts))
		Expect(err).NotTo(HaveOccurred())
		s.database.exec(ctx, "CREATE TABLE carts (id text PRIMARY KEY, items bigint)")
		s.mappings(ctx, func(all []v1alpha1.Mapping) []v1alpha1.Mapping {
			return append(all, v1alpha1.Mapping{Name: "carts", KeyPrefix: "cart:", Encoding: v1alpha1.EncodingHash, Table: "public.carts", KeyColumn: "id"})
		})
		sum := s.text(ctx, "SELECT count(*) || ' ' || sum(items) FROM carts")
		Eventually(ctx, sum).WithTimeout(startTimeout).Should(Equal(fmt.Sprintf("%d %d", carts, carts*(carts-1)/2)))

		By("taking it out again while the others are written")
		// The rights of the new mapping come to Redis as the kubelet brings them.
		Eventually(ctx, func() error { return s.redis.HIncrBy(ctx, "cart:0", "items", 1000).Err() }).WithTimeout(startTimeout).Should(Succeed())
		s.mappings(ctx, func(all []v1alpha1.Mapping) []v1alpha1.Mapping { return all[:len(all)-1] })
		Eventually(ctx, sum).WithTimeout(startTimeout).Should(Equal(fmt.Sprintf("%d %d", carts, carts*(carts-1)/2+1000)))
		Eventually(ctx, s.cache(ctx)).WithTimeout(startTimeout).Should(HaveField("Status.Mappings", Not(ContainElement(HaveField("Name", "carts")))))
		Eventually(ctx, s.cache(ctx)).WithTimeout(startTimeout).Should(HaveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue))
		w.goesOn(ctx)
		Expect(w.stop()).To(Succeed())
		Eventually(ctx, s.differences(ctx)).WithTimeout(flushTimeout).Should(Succeed())
		Expect(s.losses(ctx)).To(BeZero())
	}, SpecTimeout(5*time.Minute))

	It("drains once writes have stopped, and not before", func(ctx SpecContext) {
		cache := s.now(ctx)
		w = s.write(ctx)
		w.goesOn(ctx)
		_, err := cluster.Kubectl(ctx, "delete", "wbc", s.key.Name, "-n", s.namespace, "--wait=false", "--cascade=foreground")
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, s.cache(ctx)).Should(HaveCondition(v1alpha1.ConditionDraining, metav1.ConditionTrue))
		w.goesOn(ctx)
		Consistently(ctx, s.cache(ctx)).WithTimeout(5*time.Second).Should(
			HaveCondition(v1alpha1.ConditionDraining, metav1.ConditionTrue, v1alpha1.ReasonDraining), "writes go on")

		By("stopping the application while a lock keeps the database from taking rows")
		s.database.exec(ctx, "BEGIN")
		s.database.exec(ctx, "LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
		Expect(s.redis.XAdd(ctx, &redis.XAddArgs{Stream: "events:last", Values: []any{"kind", "last"}}).Err()).To(Succeed())
		Expect(w.stop()).To(Succeed(), "Redis takes every write until the last one")
		left, err := native.Read(ctx, s.redis)
		Expect(err).NotTo(HaveOccurred())
		Expect(s.compare(ctx, left)).NotTo(Succeed(), "nothing waits, so this shows nothing")

		By("letting the rows through")
		s.database.exec(ctx, "COMMIT")
		Eventually(ctx, func() error {
			_, err := cluster.Cache(ctx, s.key)
			return err
		}).WithTimeout(drainTimeout).Should(MatchError(ContainSubstring("not found")))
		Expect(s.compare(ctx, left)).To(Succeed())
		Eventually(ctx, func() (string, error) { return objectsOf(ctx, cache) }).WithTimeout(drainTimeout).Should(BeEmpty())
	}, SpecTimeout(2*drainTimeout))
})
