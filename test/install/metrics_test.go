// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/writebehind/operator/test/programs"
)

// token is one of a ServiceAccount, as its Pod would have it.
func (c *cluster) token(t *testing.T, namespace, name string) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	must(t, c.client.SubResource("token").Create(t.Context(), account, request))
	return request.Status.Token
}

// account makes a ServiceAccount, with a ClusterRole if one is named.
func (c *cluster) account(t *testing.T, name, role string) string {
	t.Helper()
	must(t, c.client.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}))
	if role != "" {
		must(t, c.client.Create(t.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: name}},
		}))
	}
	return c.token(t, "default", name)
}

// kubeconfig lets a program act as who has the token.
func (c *cluster) kubeconfig(t *testing.T, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"test": {Server: c.config.Host, CertificateAuthorityData: c.config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"test": {Token: token}},
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: "test"}},
		CurrentContext: "test",
	}, file))
	return file
}

// TestTheOperatorsMetricsAreForThoseWhoMayReadThem runs the operator's program under
// the account and the rights of the manifest, and asks it as several others.
func TestTheOperatorsMetricsAreForThoseWhoMayReadThem(t *testing.T) {
	c := newCluster(t)
	c.apply(t, manifests(t, "default"))
	address := programs.FreeAddress(t)
	command := exec.Command(build(t, "manager"), "--metrics-bind-address="+address, "--health-probe-bind-address=0",
		"--flusher-image="+operatorImage)
	command.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig(t, c.token(t, "writebehind-system", "writebehind-controller-manager")))
	operator := programs.Run(t, command)

	// Its certificate is its own: whoever scrapes it is told by --metrics-cert-path.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // a self-signed certificate, on the loopback
	t.Cleanup(transport.CloseIdleConnections)
	ask := func(scheme, token string) (int, string, error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://"+address+"/metrics", nil)
		must(t, err)
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := (&http.Client{Transport: transport, Timeout: patience.Limit}).Do(request)
		if err != nil {
			return 0, "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return response.StatusCode, string(body), err
	}
	reader := c.account(t, "reader", "writebehind-metrics-reader")
	operator.Eventually(t, patience, "who may read the metrics reads them", func() error {
		status, body, err := ask("https", reader)
		if err != nil || status != http.StatusOK || !strings.Contains(body, `controller_runtime_max_concurrent_reconciles{controller="writebehindcache"}`) {
			return fmt.Errorf("the answer is %d %.200s: %w", status, body, err)
		}
		return nil
	})
	// controller-runtime takes a token that no one issued for a failure of its own.
	const unknownToken = http.StatusInternalServerError
	for name, who := range map[string]struct {
		token string
		want  int
	}{
		"nobody":                         {"", http.StatusUnauthorized},
		"a token that is none":           {"nonsense", unknownToken},
		"an account without the right":   {c.account(t, "stranger", ""), http.StatusForbidden},
		"an account with other rights":   {c.account(t, "viewer", "writebehind-writebehindcache-viewer-role"), http.StatusForbidden},
		"the reader, to end as it began": {reader, http.StatusOK},
	} {
		status, body, err := ask("https", who.token)
		if err != nil || status != who.want {
			t.Errorf("the answer to %s is %d, want %d: %v", name, status, who.want, err)
		}
		if who.want != http.StatusOK && strings.Contains(body, "controller_runtime") {
			t.Errorf("%s reads metrics: %.200s", name, body)
		}
	}
	if status, body, err := ask("http", reader); err == nil && (status == http.StatusOK || strings.Contains(body, "controller_runtime")) {
		t.Errorf("metrics go over the network in clear: %d %.200s", status, body)
	}
	stop(t, operator)
}
