package api

import (
	"net/http"

	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/server"
)

const (
	allowInteraction = "X-Allow-Interaction"
	onBehalfOf       = "X-On-Behalf-Of"
	maxOnBehalfOf    = 64 // bytes
)

// requester is who asks, for the job's record. The web frontend alone is
// believed when it says on whose behalf.
func (h *handler) requester(r *http.Request, peer authz.Peer) (server.Requester, error) {
	who := h.accounts.Requester(peer)
	if web, ok := h.accounts.UID(authz.WebUser); !ok || peer.UID != web {
		return who, nil
	}
	alice := r.Header.Get(onBehalfOf)
	if len(alice) > maxOnBehalfOf || server.Visible(alice) != alice {
		return who, &server.Error{
			Code: server.CodeInvalidRequest, Field: onBehalfOf,
			Detail: "the user " + server.Quote(alice, maxOnBehalfOf) + " must be at most 64 bytes of visible characters",
		}
	}
	who.OnBehalfOf = alice
	return who, nil
}
