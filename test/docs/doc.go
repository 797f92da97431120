// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package docs holds the documents to what they speak of: each link leads somewhere,
// each command and path exists, each YAML block is accepted, and names of the contract
// (calls, errors, fields, metrics, alerts, causes) are told, and none that is not there.
//
// Reasons are held to the documents by package controller, flags by the programs' own
// tests, the ACL rule, the role's SQL and the installation's commands by tests that run
// them.
package docs
