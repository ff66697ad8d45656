//go:build apiserver && observe

package stress

import (
	"context"
	"fmt"
	"testing"

	"github.com/telltale-dev/telltale/test/backends"
	"github.com/telltale-dev/telltale/test/harness"
)

// TestRecords is the storm of TestBound, with log records for a real store and without.
// With them, the memory at its peak is no more than a third higher, and the store has
// each failure.
func TestRecords(t *testing.T) {
	owners, keys, namespaces := scale(2000, 50_000), scale(500, 10_000), scale(5, 50)
	peaks := map[bool]int64{}
	for _, records := range []bool{false, true} {
		t.Run(fmt.Sprintf("Records=%v", records), func(t *testing.T) {
			store := backends.StartStore(t)
			if records {
				t.Setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", store.Endpoint())
			}
			s := start(t, shared, fmt.Sprintf("%d owners, %d keys, log records: %v", owners, keys, records),
				"the sums are exact", 1, namespaces, append(bounds(keys), "--cluster-name=stress")...)
			bounded(s, owners)
			if records {
				harness.Eventually(t, "the store", func(ctx context.Context) error {
					n, err := store.Failures(ctx, "stress")
					if err != nil {
						return err
					}

					return want("failures in the store", n, int64(owners))
				})
			}
			s.replicas[0].end()
			peaks[records] = s.replicas[0].peak
		})
	}
	with, without := peaks[true], peaks[false]
	t.Logf("the peak is %d MiB with log records, %d MiB without", with>>20, without>>20)
	if with > without*4/3 {
		t.Errorf("the peak is %d MiB with log records, %d MiB without: more than a third higher", with>>20, without>>20)
	}
}
