package transport

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
)

// identity is whom a certificate names.
type identity struct{ cluster, name string }

const identityScheme = "daffi://"

func (i identity) String() string {
	if i.name == "" {
		return ""
	}
	return identityScheme + i.cluster + "/" + i.name
}

// CertificateName is the name of the node or controller in [Info.Certificate], "" if that is not of the form daffi://cluster/name.
func CertificateName(certificate string) string {
	who, err := parseIdentity(certificate)
	if err != nil {
		return ""
	}
	return who.name
}

// parseIdentity reads daffi://cluster/name. There is one way to write it: what could be written in another way, such as with capital letters, a port or escapes, is none.
func parseIdentity(uri string) (identity, error) {
	rest, ok := strings.CutPrefix(uri, identityScheme)
	cluster, name, found := strings.Cut(rest, "/")
	if !ok || !found || ValidName(cluster) != nil || ValidName(name) != nil {
		return identity{}, fmt.Errorf("names %.200q, which is not of the form daffi://cluster/name", uri)
	}
	return identity{cluster, name}, nil
}

// Of the alternative names of a certificate, by RFC 5280.
const (
	sanDNS = 2
	sanURI = 6
	sanIP  = 7
)

var oidAlternativeNames = asn1.ObjectIdentifier{2, 5, 29, 17}

// identityOf returns whom a certificate names: in exactly one URI among its alternative names, byte for byte as it stands there. Beside that a controller's has its hosts, and a
// node's nothing. The common name counts for nothing.
func identityOf(leaf *x509.Certificate, controller bool) (identity, error) {
	var uris []string
	for _, e := range leaf.Extensions {
		if !e.Id.Equal(oidAlternativeNames) {
			continue
		}
		var list asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &list); err != nil || len(rest) > 0 {
			return identity{}, errors.New("has alternative names that cannot be read")
		}
		for rest := list.Bytes; len(rest) > 0; {
			var n asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &n); err != nil || n.Class != asn1.ClassContextSpecific {
				return identity{}, errors.New("has alternative names that cannot be read")
			}
			switch {
			case n.Tag == sanURI:
				uris = append(uris, string(n.Bytes))
			case controller && n.Tag == sanIP:
			case controller && n.Tag == sanDNS:
				if strings.Contains(string(n.Bytes), "*") {
					return identity{}, fmt.Errorf("is for the hosts %.200q: a controller's names its hosts one by one", n.Bytes)
				}
			default:
				return identity{}, fmt.Errorf("has alternative names of kind %d: a node's has one URI and nothing else, a controller's also hosts and addresses", n.Tag)
			}
		}
	}
	if len(uris) != 1 {
		return identity{}, fmt.Errorf("has %d URIs among its alternative names: want one, daffi://cluster/name", len(uris))
	}
	return parseIdentity(uris[0])
}
