// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import "fmt"

// lostRedis names the Pod of a managed Redis that a lost node keeps from ending, and what a
// person is to do; empty when there is none. Kubernetes starts no other Pod before that one has
// ended, and only a person knows that the node is off. The taint has Kubernetes detach the volume
// too, which a forced deletion does not.
func lostRedis(f *facts) string {
	lost, left := f.LostRedis()
	if left > 0 {
		f.did.PassAgain(left)
	}
	if lost == nil {
		return ""
	}
	return fmt.Sprintf("Pod %s is being deleted, and node %s does not report its end: no other Redis starts before that. "+
		"If the node is lost, make sure that it is powered off, and run: kubectl taint nodes %s node.kubernetes.io/out-of-service=nodeshutdown:NoExecute. "+
		"Take the taint away when the node is back. While the node may still run, neither do that nor delete the Pod by force: "+
		"two Redis could then run on one volume and damage it", lost.Name, lost.Spec.NodeName, lost.Spec.NodeName)
}
