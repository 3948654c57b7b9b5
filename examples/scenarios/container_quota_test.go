package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestContainerQuota_TheSlotsFitTheQuota(t *testing.T) {
	if reason := containerQuotaMissing(); reason != "" && os.Getenv("EXECUTOR_TEST_CGROUP_REQUIRED") != "" {
		t.Fatal(reason)
	}
	o := try(t, containerQuota, 0.8)
	require.Equal(t, 1.0, o.after.get(t, containerQuotaSize))
	require.Greater(t, o.before.get(t, containerQuotaSize), 1.0)
	require.Less(t, 2*o.after.get(t, containerQuotaThrottled), o.before.get(t, containerQuotaThrottled))
	require.Less(t, 2*o.after.get(t, containerQuotaTail), o.before.get(t, containerQuotaTail))
	require.Contains(t, o.after.remarks[0], "floor(quota 1.2) of cgroup ")
}
