#!/usr/bin/env bash
# Copyright 2026 The Write-Behind Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Ends a test run with one line that can be counted. gotestsum calls it and gives
# the numbers in its environment; the tests that were skipped it has named before.
set -euo pipefail

failed=$((TESTS_FAILED + TESTS_ERRORS))
echo "$((TESTS_TOTAL - TESTS_FAILED - TESTS_SKIPPED)) passed, $failed failed, $TESTS_SKIPPED skipped in ${GOTESTSUM_ELAPSED:-?}"
