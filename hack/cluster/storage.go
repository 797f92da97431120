// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// provisionerName marks the volumes of this program: it touches no other.
const provisionerName = "writebehind.local/host-path"

const storageClassManifest = `apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: local
  annotations: {storageclass.kubernetes.io/is-default-class: "true"}
provisioner: ` + provisionerName + `
reclaimPolicy: Delete
volumeBindingMode: Immediate
`

// provisionPeriod bounds how long a claim waits. Two lists of a local API server cost about a millisecond.
const provisionPeriod = 500 * time.Millisecond

func provisionerCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:    "provisioner",
		Short:  "Make and delete the volumes of a running cluster (started by `up`)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := openCluster(o.dir)
			if err != nil {
				return err
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			return (&provisioner{api: api, folder: c.path("volumes")}).run(cmd.Context())
		},
	}
}

// startProvisioner starts this program again, to give claims their volumes. It is copied first: the
// program that `go run` builds is deleted when it ends.
func (c *cluster) startProvisioner(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := copyFile(self, c.path("cluster"), 0o755); err != nil {
		return err
	}
	if err := c.apply(ctx, []byte(storageClassManifest)); err != nil {
		return err
	}
	_, err = c.start("provisioner", c.path("cluster"), "provisioner", "--dir", c.dir)
	return err
}

// provisioner gives each pending claim of its class a folder, and deletes the folder with the volume.
type provisioner struct {
	api    *apiClient
	folder string
}

// The parts of the API's objects that the provisioner reads and writes.
type (
	objectMeta struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace,omitempty"`
		UID         string            `json:"uid,omitempty"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
	claim struct {
		Metadata objectMeta `json:"metadata"`
		Spec     struct {
			AccessModes      []string `json:"accessModes"`
			StorageClassName string   `json:"storageClassName"`
			VolumeName       string   `json:"volumeName"`
			VolumeMode       string   `json:"volumeMode"`
			Resources        struct {
				Requests map[string]string `json:"requests"`
			} `json:"resources"`
		} `json:"spec"`
	}
	volume struct {
		APIVersion string       `json:"apiVersion,omitempty"`
		Kind       string       `json:"kind,omitempty"`
		Metadata   objectMeta   `json:"metadata"`
		Spec       volumeSpec   `json:"spec"`
		Status     volumeStatus `json:"status,omitzero"`
	}
	volumeSpec struct {
		AccessModes      []string          `json:"accessModes"`
		Capacity         map[string]string `json:"capacity"`
		ClaimRef         claimReference    `json:"claimRef"`
		HostPath         hostPath          `json:"hostPath"`
		ReclaimPolicy    string            `json:"persistentVolumeReclaimPolicy"`
		StorageClassName string            `json:"storageClassName"`
	}
	volumeStatus struct {
		Phase string `json:"phase"`
	}
	claimReference struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Namespace  string `json:"namespace"`
		Name       string `json:"name"`
		UID        string `json:"uid"`
	}
	hostPath struct {
		Path string `json:"path"`
		Type string `json:"type"`
	}
)

const (
	claimsPath  = "/api/v1/persistentvolumeclaims"
	volumesPath = "/api/v1/persistentvolumes"
	classPath   = "/apis/storage.k8s.io/v1/storageclasses/"
)

// run makes passes until the context ends. A pass that fails is logged once for each change of its
// error, and tried again: the API server may be restarting.
func (p *provisioner) run(ctx context.Context) error {
	ticker := time.NewTicker(provisionPeriod)
	defer ticker.Stop()
	last := ""
	for {
		now := ""
		if err := p.pass(ctx); err != nil {
			now = err.Error()
		}
		if now != last && now != "" {
			fmt.Fprintln(os.Stderr, now)
		}
		last = now
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (p *provisioner) pass(ctx context.Context) error {
	var claims struct{ Items []claim }
	var volumes struct{ Items []volume }
	if err := p.api.do(ctx, "GET", claimsPath, nil, &claims); err != nil {
		return err
	}
	if err := p.api.do(ctx, "GET", volumesPath, nil, &volumes); err != nil {
		return err
	}
	made := map[string]bool{}
	var failed []error
	for _, v := range volumes.Items {
		made[v.Metadata.Name] = true
		if v.Metadata.Annotations["pv.kubernetes.io/provisioned-by"] == provisionerName &&
			v.Status.Phase == "Released" && v.Spec.ReclaimPolicy == "Delete" {
			failed = append(failed, p.remove(ctx, v))
		}
	}
	for _, cl := range claims.Items {
		if cl.Spec.VolumeName == "" && cl.Spec.StorageClassName != "" && !made[volumeName(cl)] {
			failed = append(failed, p.make(ctx, cl))
		}
	}
	return errors.Join(failed...)
}

func volumeName(c claim) string { return "pvc-" + c.Metadata.UID }

func (p *provisioner) make(ctx context.Context, c claim) error {
	var class struct {
		Provisioner   string `json:"provisioner"`
		ReclaimPolicy string `json:"reclaimPolicy"`
	}
	err := p.api.do(ctx, "GET", classPath+c.Spec.StorageClassName, nil, &class)
	if errors.Is(err, errNotFound) || err == nil && class.Provisioner != provisionerName {
		return nil
	}
	if err != nil {
		return err
	}
	if c.Spec.VolumeMode == "Block" {
		return fmt.Errorf("claim %s/%s wants a block device: only file systems are provisioned",
			c.Metadata.Namespace, c.Metadata.Name)
	}
	v := newVolume(c, class.ReclaimPolicy, p.folder)
	if err := os.MkdirAll(v.Spec.HostPath.Path, 0o777); err != nil {
		return err
	}
	// The kubelet does not give a hostPath volume to the pod's fsGroup, so everybody may write to it. The
	// process's umask has to be undone for that.
	if err := os.Chmod(v.Spec.HostPath.Path, 0o777); err != nil {
		return err
	}
	if err := p.api.do(ctx, "POST", volumesPath, v, nil); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "Made %s for claim %s/%s\n", v.Metadata.Name, c.Metadata.Namespace, c.Metadata.Name)
	return nil
}

// newVolume is the volume of a claim, bound to that claim alone from the start.
func newVolume(c claim, reclaimPolicy, folder string) volume {
	name := volumeName(c)
	return volume{
		APIVersion: "v1",
		Kind:       "PersistentVolume",
		Metadata: objectMeta{
			Name: name,
			// Says to Kubernetes' own controller that deleting the volume is somebody else's task.
			Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": provisionerName},
		},
		Spec: volumeSpec{
			AccessModes: c.Spec.AccessModes,
			Capacity:    map[string]string{"storage": c.Spec.Resources.Requests["storage"]},
			ClaimRef: claimReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: c.Metadata.Namespace, Name: c.Metadata.Name, UID: c.Metadata.UID,
			},
			HostPath:         hostPath{Path: filepath.Join(folder, name), Type: "Directory"},
			ReclaimPolicy:    reclaimPolicy,
			StorageClassName: c.Spec.StorageClassName,
		},
	}
}

// remove deletes the data before the volume, so that a failure leaves an object that is tried again
// rather than a folder that nobody knows.
func (p *provisioner) remove(ctx context.Context, v volume) error {
	if filepath.Dir(v.Spec.HostPath.Path) != p.folder {
		return fmt.Errorf("volume %s is at %s, outside %s: not deleted", v.Metadata.Name, v.Spec.HostPath.Path, p.folder)
	}
	if err := os.RemoveAll(v.Spec.HostPath.Path); err != nil {
		return err
	}
	err := p.api.do(ctx, "DELETE", volumesPath+"/"+v.Metadata.Name, nil, nil)
	if errors.Is(err, errNotFound) {
		return nil
	}
	if err == nil {
		fmt.Fprintf(os.Stderr, "Deleted %s\n", v.Metadata.Name)
	}
	return err
}
