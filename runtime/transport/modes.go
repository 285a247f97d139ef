package transport

import (
	"errors"
	"net/netip"
	"runtime"
)

// Ways in which the nodes at a listener are known, as [Listener.Authenticates] says them.
const (
	ByUser        = "user"            // who may connect is this user, or one of ListenOptions.Users
	ByToken       = "token"           // who knows the token
	ByCertificate = "certificate"     // who has a certificate of the authority, and is named like it
	ByTokenTLS    = "tokens over tls" // who knows the token, or one of several
	ByNobody      = "nobody"          // everybody may connect: ListenOptions.Insecure says why
)

// authenticates is the one place that decides how nodes are known, and refuses what leaves nobody to be asked, or contradicts itself. at is what the address stands for, nothing for a
// unix socket.
func (o *ListenOptions) authenticates(a Addr, at []netip.AddrPort) (string, error) {
	if a.Network == "unix" {
		return ByUser, o.checkUnix()
	}
	if len(o.Users) > 0 {
		return "", errors.New("option Users is set, which is for unix sockets: unset it, or choose a unix socket")
	}
	if o.TLS != nil {
		return o.overTLS()
	}
	switch {
	case o.TokensFile != "":
		return "", errors.New("option TokensFile is set and TLS is not: tokens of several nodes are for TLS only; set TLS, or set TokenFile instead")
	case isLoopback(at) && (o.Insecure == "" || o.TokenFile != ""), o.Insecure != "" && o.TokenFile != "":
		return ByToken, nil
	case o.Insecure != "":
		return ByNobody, nil
	}
	return "", notLoopback(at)
}

func (o *ListenOptions) checkUnix() error {
	switch {
	case o.TLS != nil:
		return errors.New("TLS is set, which a unix socket does not have: unset it, or listen at a TCP address")
	case o.TokensFile != "":
		return errors.New("option TokensFile is set, which is for TLS: unset it, or listen at a TCP address with TLS")
	case o.Insecure != "":
		return errors.New("option Insecure is set, and a unix socket is not insecure: unset it")
	case len(o.Users) > 0 && runtime.GOOS != "linux":
		return errors.New("option Users is set: only linux tells who is at the other end of a unix socket; unset it")
	}
	return nil
}

func (o *ListenOptions) overTLS() (string, error) {
	t := o.TLS
	switch {
	case o.Insecure != "":
		return "", errors.New("both TLS and Insecure are set: unset one")
	case t.CertFile == "" && t.KeyFile == "":
		return "", errors.New("TLS is set without TLS.CertFile and TLS.KeyFile: a controller needs a certificate")
	case t.check() != nil:
		return "", t.check()
	case t.CAFile != "" && (o.TokenFile != "" || o.TokensFile != ""):
		return "", errors.New("both TLS.CAFile and TokenFile or TokensFile are set: nodes are known by certificates or by tokens; unset one")
	case t.CAFile != "":
		return ByCertificate, nil
	case o.TokenFile != "" && o.TokensFile != "":
		return "", errors.New("both TokenFile and TokensFile are set: unset one")
	case o.TokenFile == "" && o.TokensFile == "":
		return "", errors.New("TLS is set and nothing says who may join: set TLS.CAFile for nodes with certificates, or TokenFile or TokensFile for nodes with tokens")
	}
	return ByTokenTLS, nil
}
