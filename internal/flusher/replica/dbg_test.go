package replica_test

import (
	"testing"

	"github.com/writebehind/operator/internal/flusher/replica"
)

func TestDbg(t *testing.T) {
	for _, e := range live(t, []event{{1, 0, 0, 0}, {11, 0, 0, 0}}, replica.Bounds{Dirty: 500}) {
		t.Error(e)
	}
}
