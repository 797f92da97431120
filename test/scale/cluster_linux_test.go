// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/programs"
)

const (
	// operatorUser is whom the audit log tells of.
	operatorUser = "operator"
	// operatorNamespace holds the operator's Lease.
	operatorNamespace = "operator"
)

// cluster is a real API server with nobody in it who acts.
type cluster struct {
	scheme *runtime.Scheme
	config *rest.Config
	client client.Client
	// kubeconfig is the operator's, which gives it the rights of its manifests.
	kubeconfig []byte
	audit      *audit
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	const assets = "KUBEBUILDER_ASSETS"
	if os.Getenv(assets) == "" {
		t.Fatalf("%s is not set: this test needs a real API server. Build one with `make envtest-assets`, "+
			"and set %s to the folder that it prints", assets, assets)
	}
	c := &cluster{scheme: runtime.NewScheme(), audit: newAudit(t)}
	programs.Must(t, clientgoscheme.AddToScheme(c.scheme))
	programs.Must(t, v1alpha1.AddToScheme(c.scheme))

	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{root("config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	c.audit.configure(environment.ControlPlane.GetAPIServer().Configure())
	var err error
	if c.config, err = environment.Start(); err != nil {
		t.Fatalf("Start the API server: %v", err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Errorf("Stop the API server: %v", err)
		}
	})
	// Whoever plays the cluster is as fast as it can be.
	c.config.QPS = -1
	c.client, err = client.New(c.config, client.Options{Scheme: c.scheme})
	programs.Must(t, err)

	user, err := environment.AddUser(envtest.User{Name: operatorUser, Groups: []string{"operators"}}, nil)
	programs.Must(t, err)
	c.kubeconfig, err = user.KubeConfig()
	programs.Must(t, err)
	c.grant(t)
	return c
}

// grant gives the operator the rights that it is deployed with.
func (c *cluster) grant(t *testing.T) {
	t.Helper()
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: operatorUser}}
	clusterRole, role := &rbacv1.ClusterRole{}, &rbacv1.Role{}
	read(t, clusterRole, "config", "rbac", "role.yaml")
	read(t, role, "config", "rbac", "leader_election_role.yaml")
	role.Namespace = operatorNamespace
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}},
		clusterRole,
		role,
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: operatorUser},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: clusterRole.Name},
			Subjects:   subjects,
		},
		&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: operatorUser},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
			Subjects:   subjects,
		},
	} {
		programs.Must(t, c.client.Create(context.Background(), object))
	}
}

// deployedEnvironment is the environment that the operator's manifest gives it; what
// it takes from the Pod is left out.
func deployedEnvironment(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(root("config", "manager", "manager.yaml"))
	programs.Must(t, err)
	var environment []string
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var deployment appsv1.Deployment
		programs.Must(t, yaml.Unmarshal([]byte(document), &deployment))
		for _, container := range deployment.Spec.Template.Spec.Containers {
			for _, variable := range container.Env {
				if variable.ValueFrom == nil {
					environment = append(environment, variable.Name+"="+variable.Value)
				}
			}
		}
	}
	if len(environment) == 0 {
		t.Fatal("the manifest names no environment: it bounds the operator's memory there")
	}
	return environment
}

// read decodes a manifest of the project.
func read(t *testing.T, into any, path ...string) {
	t.Helper()
	text, err := os.ReadFile(root(path...))
	programs.Must(t, err)
	programs.Must(t, yaml.UnmarshalStrict(text, into))
}

// root is a path of the project.
func root(elements ...string) string {
	return filepath.Join(append([]string{"..", ".."}, elements...)...)
}
