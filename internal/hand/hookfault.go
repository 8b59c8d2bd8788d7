package hand

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/left4med/left4med/internal/probe"
)

// hookFault says in words of our own why a webhook was not reached: each error of
// net/http, net and crypto may quote the address, or what the other side sent. What
// fails before there is a connection has a code of its own: nothing was sent.
func hookFault(ctx context.Context, err error) *probe.Fault {
	var name *net.DNSError
	var op *net.OpError
	var network net.Error
	switch {
	case errors.Is(err, errAddress):
		return &probe.Fault{Code: probe.FaultAddress, Detail: "the webhook's name leads to an address that is loopback, private, link-local or otherwise not of the internet; allow_private permits most of these"}
	case ctx.Err() != nil:
		return &probe.Fault{Code: probe.FaultSilent, Detail: "the webhook does not answer in time"}
	case errors.As(err, &name) && name.IsNotFound:
		return &probe.Fault{Code: probe.FaultUnreached, Detail: "the webhook's name does not exist"}
	case errors.As(err, &name):
		return &probe.Fault{Code: probe.FaultUnreached, Detail: "the webhook's name cannot be resolved: no name server answers"}
	case errors.As(err, &op) && op.Op == "dial" && errors.Is(err, syscall.ECONNREFUSED):
		return &probe.Fault{Code: probe.FaultRefused, Detail: "nothing listens at the webhook's address"}
	case errors.As(err, &op) && op.Op == "dial":
		return &probe.Fault{Code: probe.FaultUnreached, Detail: "the webhook cannot be reached" + word(err)}
	}
	if why := tlsFault(err); why != "" {
		return &probe.Fault{Code: probe.FaultTLS, Detail: why}
	}
	switch {
	case errors.As(err, &network) && network.Timeout():
		return &probe.Fault{Code: probe.FaultSilent, Detail: "the webhook does not answer in time"}
	case word(err) != "":
		return &probe.Fault{Code: probe.FaultNetwork, Detail: "the connection to the webhook broke" + word(err)}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &probe.Fault{Code: probe.FaultNetwork, Detail: "the webhook closed the connection before it answered"}
	}
	return &probe.Fault{Code: probe.FaultNetwork, Detail: "what the webhook answers is not HTTP"}
}

// tlsFault says what is wrong with TLS; empty when it is not TLS.
func tlsFault(err error) string {
	var (
		unknown  x509.UnknownAuthorityError
		roots    x509.SystemRootsError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		verify   *tls.CertificateVerificationError
		record   tls.RecordHeaderError
		op       *net.OpError
	)
	switch {
	case errors.As(err, &roots):
		return "this host has no certificates to judge the webhook's by; the package ca-certificates has them"
	case errors.As(err, &unknown):
		return "the webhook's certificate is signed by nobody that this host knows"
	case errors.As(err, &hostname):
		return "the webhook's certificate is of another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the webhook's certificate has expired, or is not valid yet"
	case errors.As(err, &invalid), errors.As(err, &verify):
		return "the webhook's certificate is not valid"
	case errors.As(err, &record):
		return "the webhook does not speak TLS at that port"
	case errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error"): // crypto/tls, of an alert
		return "the webhook refuses TLS as left4med speaks it, 1.2 or newer"
	}
	return ""
}
