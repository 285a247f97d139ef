package daffi

// ChildEnv is what a process that this one starts needs in its environment so that [ConfigFromEnv] there leads to n's controller: cmd.Env = append(os.Environ(), env...). name is the
// child's; empty lets it make one. The token of a controller on TCP is not in it, only the file's name if [Options.TokenFile] has one. Nor
// is a certificate, since that names one node: where n has one, set DAFFI_TLS_CERT and DAFFI_TLS_KEY to the child's own, after these. It is FailedPrecondition if
// the controller is in this process and listens at no address.
func ChildEnv(n *Node, name string) ([]string, error) {
	addr := n.opts.Addr
	if n.opts.Controller != nil {
		if c, ok := n.opts.Controller.(interface{ Addr() string }); ok {
			addr = c.Addr()
		}
		if addr == "" {
			return nil, &Error{Code: FailedPrecondition, Outcome: NotRun, Node: n.opts.Name,
				Message: "the controller of this node listens at no address, so that other processes cannot join it: make it with controller.Listen"}
		}
	}
	env := []string{"DAFFI_ADDR=" + addr, "DAFFI_TOKEN_FILE=" + n.opts.TokenFile, "DAFFI_NAME=" + name}
	if t := n.opts.TLS; t != nil {
		authorities := t.Authorities()
		if authorities == "" {
			authorities = systemAuthorities
		}
		env = append(env, "DAFFI_TLS_CERT=", "DAFFI_TLS_KEY=", "DAFFI_TLS_CA="+authorities)
	}
	if n.opts.Insecure != "" {
		env = append(env, "DAFFI_INSECURE="+n.opts.Insecure)
	}
	return env, nil
}
