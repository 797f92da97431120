// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Database is where the rows go.
type Database struct {
	// postgres is a PostgreSQL database.
	// +required
	Postgres Postgres `json:"postgres,omitzero"`
}

// Postgres is a PostgreSQL database.
type Postgres struct {
	// urlSecretRef names the key of a Secret that holds the connection URL, as
	// libpq reads one.
	// +required
	URLSecretRef URLSecretRef `json:"urlSecretRef,omitzero"`

	// maxConnections bounds the connections of one flusher. 1 to 100, defaults
	// to 4.
	// +kubebuilder:default=4
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +optional
	MaxConnections int32 `json:"maxConnections,omitempty"`

	// statementTimeoutSeconds bounds one statement of a batch, in seconds. 1 to
	// 3600, defaults to 30.
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	// +optional
	StatementTimeoutSeconds int32 `json:"statementTimeoutSeconds,omitempty"`

	// ledgerSchema is the schema of the ledger table, which makes every batch
	// count once. The flusher creates it if it is missing. It cannot change: the new
	// ledger would not fence a flusher that still uses the previous one. 1 to 63
	// bytes, defaults to writebehind.
	// +kubebuilder:default=writebehind
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="size(bytes(self)) <= 63 && !self.matches('[[:cntrl:]]')",message="ledgerSchema must be a name of 1 to 63 bytes without control characters, as it stands in PostgreSQL's catalogue (not quoted)"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="ledgerSchema cannot change: only the ledger that is there keeps two flushers from writing over each other: give the name from before, which is writebehind where none was given"
	// +optional
	LedgerSchema string `json:"ledgerSchema,omitempty"`

	// tls, if set, turns TLS on, whatever the URL's sslmode, and verifies the server's
	// certificate and its host name; with sslmode=verify-ca in the URL, the certificate
	// alone. An empty tls trusts the certificate authorities of the flusher's image. If
	// unset, the URL decides.
	// +optional
	TLS *PostgresTLS `json:"tls,omitempty"`
}

// PostgresTLS is which certificate authorities to trust and which client certificate
// to send.
type PostgresTLS struct {
	// caSecretRef names the certificate authorities that sign the server's
	// certificate. If unset, those of the flusher's image are trusted.
	// +optional
	CASecretRef *CASecretRef `json:"caSecretRef,omitempty"`

	// clientCertSecretRef names a Secret of type kubernetes.io/tls with the
	// client's certificate and key. If unset, no client certificate is sent.
	// +optional
	ClientCertSecretRef *SecretRef `json:"clientCertSecretRef,omitempty"`
}

// URLSecretRef names the key of a Secret that holds a connection URL.
type URLSecretRef struct {
	// name of a Secret in this namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="name must be the name of a Secret: lower case letters, digits, - and ., beginning and ending with a letter or digit"
	Name string `json:"name,omitempty"`

	// key that holds the URL. Defaults to uri, as CloudNativePG names it in the
	// Secrets that it makes for applications.
	// +kubebuilder:default=uri
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && !self.startsWith('..')",message="key must be a key of a Secret: letters, digits, -, _ and ., not . alone and not beginning with .."
	// +optional
	Key string `json:"key,omitempty"`
}
