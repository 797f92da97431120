// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/test/programs"
)

// leaseDuration is how long a standby would wait for a leader that is gone without
// a word.
const leaseDuration = 15 * time.Second

// operators are the programs of one installation, which act with the rights that
// the installer's manifest gives to the operator's service account.
type operators struct {
	*cluster
	program string
}

func installOperators(t *testing.T) *operators {
	t.Helper()
	c := installedCluster(t)
	// An operator that was killed has left its lease to nobody.
	programs.Must(t, c.client.DeleteAllOf(t.Context(), &coordinationv1.Lease{}, client.InNamespace(releaseNamespace)))
	return &operators{c, build(t, "manager")}
}

// token is one of a service account's.
func (o *operators) token(t *testing.T, account string) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{}
	programs.Must(t, o.client.SubResource("token").Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: releaseNamespace, Name: account}}, request))
	return request.Status.Token
}

// account makes a service account, which may do what the ClusterRole says if one
// is given.
func (o *operators) account(t *testing.T, name, role string) {
	t.Helper()
	o.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: releaseNamespace, Name: name}})
	if role == "" {
		return
	}
	o.create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: releaseNamespace, Name: name}},
	})
}

// operator is a program that runs.
type operator struct {
	*programs.Process
	probes  string
	metrics string
}

// run starts an operator as a service account.
func (o *operators) run(t *testing.T, account string, flags ...string) *operator {
	t.Helper()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	programs.Must(t, clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"test": {Server: o.config.Host, CertificateAuthorityData: o.config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{account: {Token: o.token(t, account)}},
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: account}},
		CurrentContext: "test",
	}, kubeconfig))
	p := &operator{probes: programs.FreeAddress(t), metrics: programs.FreeAddress(t)}
	command := exec.Command(o.program, append([]string{
		"--leader-elect", "--leader-election-namespace=" + releaseNamespace,
		"--health-probe-bind-address=" + p.probes, "--metrics-bind-address=" + p.metrics, "--flusher-image=" + operatorImage,
	}, flags...)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	p.Process = programs.Run(t, command)
	return p
}

// probe asks as the kubelet does.
func (p *operator) probe(ctx context.Context, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.probes+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", path, response.Status)
	}
	return nil
}

func (p *operator) ready(t *testing.T) {
	t.Helper()
	p.Eventually(t, programs.Usual, "the operator is ready", func() error { return errors.Join(p.probe(t.Context(), "/readyz"), p.probe(t.Context(), "/healthz")) })
}

// holder is who leads.
func (o *operators) holder(t *testing.T) string {
	t.Helper()
	var leases coordinationv1.LeaseList
	programs.Must(t, o.client.List(t.Context(), &leases, client.InNamespace(releaseNamespace)))
	if len(leases.Items) != 1 || leases.Items[0].Spec.HolderIdentity == nil {
		return ""
	}
	return *leases.Items[0].Spec.HolderIdentity
}

// The one that leads gives the lease back when it is asked to end, and the one that
// waits has read everything by then: it acts within a moment, not after the 15
// seconds that a lease lasts.
func TestAStandbyActsAtOnceWhenTheLeaderGoes(t *testing.T) {
	o := installOperators(t)
	leader := o.run(t, "writebehind-controller-manager")
	leader.ready(t)
	programs.Usual.Eventually(t, "one leads", func() error {
		if o.holder(t) == "" {
			return errors.New("nobody holds the lease")
		}
		return nil
	})
	first := o.holder(t)
	standby := o.run(t, "writebehind-controller-manager")
	standby.ready(t)
	programs.Usual.Eventually(t, "the standby watches", func() error {
		if !strings.Contains(standby.Said(), "Starting EventSource") {
			return errors.New("it has begun to watch nothing")
		}
		return nil
	})
	if strings.Contains(standby.Said(), "Starting Controller") || o.holder(t) != first {
		t.Fatal("the standby acts beside the leader")
	}

	sample := samples(t)[0].object
	sample.SetNamespace(o.namespace(t))
	o.applyResource(t, sample)
	flushers := client.ObjectKey{Namespace: sample.GetNamespace(), Name: sample.GetName() + "-flusher"}
	made := func() error { return o.client.Get(t.Context(), flushers, &appsv1.Deployment{}) }
	programs.Usual.Eventually(t, "the leader makes the flushers", made)

	began := time.Now()
	stop(t, leader.Process)
	programs.Must(t, o.client.Delete(t.Context(), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: flushers.Namespace, Name: flushers.Name}}))
	programs.Usual.Eventually(t, "the standby makes the flushers anew", made)
	if took := time.Since(began); took > leaseDuration-3*time.Second {
		t.Errorf("the standby took %v, as if the lease had had to run out", took)
	} else {
		t.Logf("the standby acted after %v", took)
	}
	if o.holder(t) == first {
		t.Error("the lease is still the first one's")
	}
	standby.ready(t)
}

// An operator that lacks a right is never ready, so that a rollout leaves the old
// one in its place.
func TestAnOperatorWithoutItsRightsIsNotReady(t *testing.T) {
	o := installOperators(t)
	o.account(t, "nobody", "")
	p := o.run(t, "nobody", "--leader-elect=false")
	p.Eventually(t, programs.Usual, "the operator is refused", func() error {
		if !strings.Contains(p.Said(), "is forbidden") {
			return errors.New("it does not say so")
		}
		return nil
	})
	if err := p.probe(t.Context(), "/readyz"); err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("a probe of an operator that may watch nothing: %v", err)
	}
	if err := p.probe(t.Context(), "/healthz"); err != nil {
		t.Errorf("it would be restarted, which mends nothing: %v", err)
	}
}
