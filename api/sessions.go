package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
)

var errAdminOnly = protocol.Errorf(protocol.Unauthorized,
	"sessions are made by the operator here: log in at /api/admin/login and send the token: Authorization: Bearer <token>")

func (s *server) createSession(c echo.Context) error {
	if s.AdminCreatesOnly && admin.User(c) == "" {
		return errAdminOnly
	}
	body, err := readBody(c, smallBody)
	if err != nil {
		return err
	}
	spec, err := session.ParseSpec(body)
	clear(body) // the root key may be in it
	if err != nil {
		return err
	}
	created, err := s.Catalog.Create(c.Request().Context(), spec)
	s.Admin.Audit(c, admin.ActionCreateSession, spec.Name, err)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, struct {
		Success     bool   `json:"success"`
		SessionName string `json:"sessionName"`
		SecretKey   string `json:"secretKey"`
	}{true, created.Name, created.SecretKey})
}

// owned is the body of what only a session's owner, or the operator, may do.
type owned struct {
	SessionName session.Credential `json:"sessionName"`
	Password    session.Credential `json:"password"`
	SecretKey   session.Credential `json:"secretKey"`
	Suspend     *bool              `json:"suspend"`
}

func (s *server) dropSession(c echo.Context) error {
	o, err := s.authorize(c)
	if err != nil {
		return err
	}
	name := string(o.SessionName)
	err = s.Catalog.Drop(c.Request().Context(), name)
	s.Admin.Audit(c, admin.ActionDropSession, name, err)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"success": true, "sessionName": name})
}

func (s *server) suspendSession(c echo.Context) error {
	o, err := s.authorize(c)
	if err != nil {
		return err
	}
	if o.Suspend == nil {
		return protocol.Errorf(protocol.BadRequest, "suspend: takes true or false")
	}
	name := string(o.SessionName)
	action := admin.ActionResume
	if *o.Suspend {
		action = admin.ActionSuspend
	}
	err = s.Catalog.Suspend(c.Request().Context(), name, *o.Suspend)
	s.Admin.Audit(c, action, name, err)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"success": true, "sessionName": name, "suspended": *o.Suspend})
}

// authorize reads an owned body and checks that its sender is the owner or the operator.
func (s *server) authorize(c echo.Context) (owned, error) {
	var o owned
	body, err := readBody(c, smallBody)
	if err != nil {
		return o, err
	}
	if err := protocol.DecodeJSON(body, &o, "sessionName", "password", "secretKey", "suspend"); err != nil {
		return o, err
	}
	if admin.User(c) != "" {
		if !protocol.ValidSessionName(string(o.SessionName)) {
			return o, protocol.Errorf(protocol.BadRequest, "sessionName: takes the name of a session")
		}
		return o, nil
	}
	_, err = s.Catalog.AuthorizeOwner(c.Request().Context(), string(o.SessionName), string(o.Password), string(o.SecretKey),
		s.ClientAddr(c.Request()))
	return o, err
}
