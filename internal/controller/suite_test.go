// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/test/apiserver"
)

const (
	// assets is the variable that names the folder of etcd and kube-apiserver.
	assets = "KUBEBUILDER_ASSETS"

	// flusherImage is what the manager is told to take.
	flusherImage = "operator.test/writebehind:1"

	// endpointAnnotation tells the observer where a Pod of a test is served. The cache keeps annotations
	// of the operator alone.
	endpointAnnotation = "cache.writebehind.dev/test-endpoint"

	// patience only ends what will never come: a few passes take less than a second,
	// and on a machine that much else keeps busy a hundred times as long.
	patience = 2 * time.Minute
	// polling asks the API server seldom enough for it to be at the operator's disposal.
	polling = 100 * time.Millisecond
	// quiet is how long nothing must happen where nothing may; it spans several
	// looks at the flushers and several publications of numbers.
	quiet = 2 * time.Second

	lookInterval    = 100 * time.Millisecond
	numbersInterval = 200 * time.Millisecond
	answerPatience  = 400 * time.Millisecond
	stuckAfter      = time.Second
	lostAfter       = time.Second

	kindsInterval      = 500 * time.Millisecond
	monitoringInterval = 500 * time.Millisecond
)

var (
	// administrator may do everything.
	administrator *rest.Config
	// k8s is its client, without a cache.
	k8s client.Client
)

func TestController(t *testing.T) {
	if os.Getenv(assets) == "" {
		t.Fatalf("%s is not set: these tests need a real API server. Build one with `make envtest-assets` "+
			"(or `cd hack/cluster && go run . assets`), and set %s to the folder that it prints", assets, assets)
	}
	claims, isPart := os.LookupEnv(partOf)
	if !isPart {
		suite(t)
		return
	}
	beginPart(claims)
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(patience)
	SetDefaultEventuallyPollingInterval(polling)
	SetDefaultConsistentlyDuration(quiet)
	SetDefaultConsistentlyPollingInterval(quiet / 8)
	RunSpecs(t, "Controller")
}

var _ = BeforeSuite(func() {
	logf.SetLogger(zap.New(zap.WriteTo(io.MultiWriter(GinkgoWriter, said)), zap.UseDevMode(true)))

	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())

	environment := apiserver.New(filepath.Join("..", "..", "config", "crd", "bases"))
	// Before the start, which may fail when the API server runs already.
	DeferCleanup(environment.Stop)
	var err error
	administrator, err = apiserver.Start(environment)
	Expect(err).NotTo(HaveOccurred())
	k8s, err = client.New(administrator, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	watchStatuses(administrator, scheme)

	// The operator acts under the very role that it is deployed with, so that a
	// right that is missing there fails here.
	user, err := environment.AddUser(envtest.User{Name: "operator", Groups: []string{"operators"}}, nil)
	Expect(err).NotTo(HaveOccurred())
	bindRole(context.Background())

	operator := user.Config()
	// As the program has it: with client-go's own limit events would come by tens of
	// seconds late.
	operator.QPS = -1
	operator.Wrap(writes.record)
	startOperator = func() (stop func()) { return runOperator(operator, scheme) }
	startUpgraded = func(edit func(*controller.Options), namespaces ...string) (stop func()) {
		return runEdited(operator, scheme, edit, namespaces...)
	}
	startOwnOperator = func() { stopOwnOperator = runOperator(operator, scheme) }
	mountFiles(scheme)
	startOwnOperator()
	DeferCleanup(func() { stopOwnOperator() })
})

var (
	// startOwnOperator starts the operator that all specs have, stopOwnOperator stops it.
	startOwnOperator, stopOwnOperator func()
	// mounted reads the flushers' files from a cache of its own, since the operator's keeps digests
	// of them: no server needs to be asked at every look at a flusher.
	mounted client.Reader
)

// mountFiles starts the cache of the files, as a kubelet has one.
func mountFiles(scheme *runtime.Scheme) {
	GinkgoHelper()
	files, err := cache.New(administrator, cache.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- files.Start(ctx) }()
	DeferCleanup(func() {
		cancel()
		Eventually(ended).Should(Receive(BeNil()))
	})
	mounted = files
}

// startOperator starts one more operator, as a restart does while the one before
// has not ended.
var startOperator func() (stop func())

// startUpgraded starts an operator with other options, that watches these namespaces alone.
var startUpgraded func(edit func(*controller.Options), namespaces ...string) (stop func())

func runOperator(config *rest.Config, scheme *runtime.Scheme) (stop func()) {
	GinkgoHelper()
	return runEdited(config, scheme, func(*controller.Options) {})
}

func runEdited(config *rest.Config, scheme *runtime.Scheme, edit func(*controller.Options), namespaces ...string) (stop func()) {
	GinkgoHelper()
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:  scheme,
		Cache:   controller.CacheOptions(namespaces...),
		Metrics: metricsserver.Options{BindAddress: "0"},
		// A second one has a controller of the same name.
		Controller: ctrlconfig.Controller{SkipNameValidation: new(true)},
	})
	Expect(err).NotTo(HaveOccurred())
	options := controller.Options{
		Site:       site(),
		StuckAfter: stuckAfter,
		LostAfter:  lostAfter,

		KindsInterval:      kindsInterval,
		MonitoringInterval: monitoringInterval,
		Observe: observe.Options{
			Endpoint:        func(pod *corev1.Pod) string { return pod.Annotations[endpointAnnotation] },
			Interval:        lookInterval,
			NumbersInterval: numbersInterval,
			Patience:        answerPatience,
			Calm:            time.Millisecond, // a test tells more in a second than a flusher in an hour
		},
	}
	edit(&options)
	Expect(controller.SetupWithManager(manager, options)).To(Succeed())

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	return func() {
		cancel()
		Eventually(ended).Should(Receive(BeNil()))
	}
}

// clusterRole reads the role that controller-gen wrote.
func clusterRole() *rbacv1.ClusterRole {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "rbac", "role.yaml"))
	Expect(err).NotTo(HaveOccurred())
	role := &rbacv1.ClusterRole{}
	Expect(yaml.UnmarshalStrict(text, role)).To(Succeed())
	return role
}

func bindRole(ctx context.Context) {
	GinkgoHelper()
	role := clusterRole()
	Expect(k8s.Create(ctx, role)).To(Succeed())
	Expect(k8s.Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "operator"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "operator"}},
	})).To(Succeed())
}

// writes records the operator's requests that change something, by namespace;
// events do not count, and neither does making what is already there.
var writes = &writeRecord{byNamespace: map[string][]string{}}

type writeRecord struct {
	mu          sync.Mutex
	byNamespace map[string][]string
}

func (c *writeRecord) of(namespace string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.byNamespace[namespace])
}

func (c *writeRecord) record(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(request)
		_, path, ok := strings.Cut(request.URL.Path, "/namespaces/")
		there := err == nil && request.Method == http.MethodPost && response.StatusCode == http.StatusConflict
		if ok && !there && request.Method != http.MethodGet && !strings.Contains(path, "/events") {
			namespace, _, _ := strings.Cut(path, "/")
			c.mu.Lock()
			c.byNamespace[namespace] = append(c.byNamespace[namespace], request.Method+" "+path)
			c.mu.Unlock()
		}
		return response, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

var namespaces int

// newNamespace makes a namespace for one test.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	namespaces++
	name := fmt.Sprintf("test-%d-%03d", GinkgoParallelProcess(), namespaces)
	part.namespaces = append(part.namespaces, name)
	Expect(k8s.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})).To(Succeed())
	return name
}

func memory(amount string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(amount)}
}
