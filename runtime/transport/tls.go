package transport

// TLS names the files by which one end of a connection says who it is and knows the other. They are PEM files, and are read again when they change.
type TLS struct {
	// CertFile holds the own certificate, and those between it and the authority's, KeyFile its private key. Controllers need both; nodes have both, and are then
	// known by the certificate, or neither, and are then known by a token.
	CertFile, KeyFile string

	// CAFile holds the certificates of the authorities that the other end's certificate must come from. Empty: at a node, those of the system; at a controller, nodes
	// have no certificates and are known by their tokens.
	CAFile string
}
