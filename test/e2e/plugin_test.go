// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/load"
	"github.com/writebehind/operator/test/programs"
)

// The commands that look at keys run in real pods, by the API server's own exec.
var _ = Describe("The plugin of kubectl", Ordered, func() {
	var s *shop
	var plugin string

	// run runs the plugin, and returns its exit code and what it prints.
	run := func(ctx context.Context, args ...string) (code int, out, problems string) {
		GinkgoHelper()
		args = append([]string{args[0], "-n", s.namespace}, args[1:]...)
		if cluster.Kubeconfig != "" {
			args = append([]string{args[0], "--kubeconfig", cluster.Kubeconfig}, args[1:]...)
		}
		cmd := exec.CommandContext(ctx, plugin, args...)
		var o, p bytes.Buffer
		cmd.Stdout, cmd.Stderr = &o, &p
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			Fail(err.Error())
		}
		return cmd.ProcessState.ExitCode(), o.String(), p.String()
	}

	BeforeAll(func(ctx SpecContext) {
		folder, err := os.MkdirTemp("", "plugin-")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(os.RemoveAll, folder)
		Expect(programs.Build(ctx, folder, nil, "cmd/kubectl-writebehind")).To(Succeed())
		plugin = filepath.Join(folder, "kubectl-writebehind")
		s = newShop(ctx, "plugin")
		s.database.exec(ctx, load.CreateTable)
		s.applySecret(ctx)
		s.apply(ctx)
		Eventually(ctx, s.cache(ctx)).WithTimeout(startTimeout).Should(HaveCondition(v1alpha1.ConditionReady, metav1.ConditionTrue))
		s.load = s.connect(ctx, load.Options{Keys: 100, Workers: 1, Pipeline: 1})
	}, NodeTimeout(startTimeout+2*time.Minute))

	AfterEach(func(ctx SpecContext) {
		if CurrentSpecReport().Failed() {
			dump(ctx, s.namespace, operator.Namespace)
		}
	})

	It("prints conditions, queues and pods", func(ctx SpecContext) {
		code, out, problems := run(ctx, "status", s.key.Name)
		Expect(code).To(BeZero(), problems)
		Expect(out).To(SatisfyAll(ContainSubstring("Ready"), ContainSubstring("products"), ContainSubstring(s.readyFlusher(ctx).Name)))
	}, SpecTimeout(time.Minute))

	It("explains a key, finds a row that was deleted beside the flushers, and repairs it", func(ctx SpecContext) {
		_, err := s.load.Put(ctx, 7, product("explained"))
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, s.name(ctx, 7)).WithTimeout(flushTimeout).Should(Equal("explained"))
		Eventually(ctx, func(g Gomega, ctx context.Context) {
			code, out, problems := run(ctx, "explain", s.key.Name, "product:7", "-o", "json")
			g.Expect(code).To(BeZero(), problems)
			g.Expect(json.Valid([]byte(out))).To(BeTrue(), out)
			g.Expect(out).To(SatisfyAll(ContainSubstring(`"state": "Clean"`), ContainSubstring(`"differs": false`)))
		}).Should(Succeed())

		s.database.exec(ctx, "DELETE FROM products WHERE id = 7")
		code, out, problems := run(ctx, "verify", s.key.Name, "product:7")
		Expect(code).To(Equal(3), problems)
		Expect(strings.Count(out, "missing    product:7")).To(Equal(1), out)
		code, out, problems = run(ctx, "repair", s.key.Name, "product:7")
		Expect(code).To(BeZero(), problems)
		Expect(out).To(ContainSubstring("marked dirty: 1"))
		Eventually(ctx, s.name(ctx, 7)).WithTimeout(flushTimeout).Should(Equal("explained"))
		code, out, problems = run(ctx, "dlq", s.key.Name, "list", "-o", "json")
		Expect(code).To(BeZero(), problems)
		Expect(out).To(MatchJSON("[]"))
	}, SpecTimeout(3*time.Minute))

	It("names the Secret of a managed Redis", func(ctx SpecContext) {
		code, out, problems := run(ctx, "acl", s.key.Name)
		Expect(code).To(BeZero(), problems)
		Expect(out).To(ContainSubstring(s.now(ctx).Status.Redis.SecretName))
	}, SpecTimeout(time.Minute))
})
