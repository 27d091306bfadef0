package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/fastport/fastport/protocol"
)

// operator is a broker's admin API, logged in.
type operator struct {
	base  string
	token string
	page  int // sessions asked for at once
	http  *http.Client
}

// apiTimeout bounds one call. A password's check on a busy broker takes a second or two.
const apiTimeout = 30 * time.Second

// operatorOf logs in as the environment says, or returns nil where it names no operator.
func operatorOf(ctx context.Context, e *env, base string) (*operator, error) {
	pass := e.setting("FASTPORT_ADMIN_PASS")
	if pass == "" {
		return nil, nil
	}
	o := &operator{base: base, page: 500, http: &http.Client{
		Timeout:       apiTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the password is for base alone
	}}
	var answer struct {
		Token string `json:"token"`
	}
	login := map[string]string{"username": or(e.setting("FASTPORT_ADMIN_USER"), "admin"), "password": pass}
	err := o.call(ctx, http.MethodPost, "/api/admin/login", login, &answer)
	var refused *protocol.Error
	switch {
	case errors.As(err, &refused) && refused.Code == protocol.Unauthorized:
		return nil, fmt.Errorf("%s does not know this operator: are FASTPORT_ADMIN_USER and FASTPORT_ADMIN_PASS its ADMIN_USER and ADMIN_PASS?", base)
	case errors.As(err, &refused) && refused.Code == protocol.NotFound:
		return nil, fmt.Errorf("%s has no admin API: it is there once the broker has an ADMIN_PASS", base)
	case err != nil:
		return nil, profile{URL: base}.explain(err)
	}
	o.token = answer.Token
	return o, nil
}

// adminToken is what the SDK takes, "" of no operator.
func (o *operator) adminToken() string {
	if o == nil {
		return ""
	}
	return o.token
}

// logout ends the login, as well as it can: the broker forgets it in half an hour anyway.
func (o *operator) logout(ctx context.Context) {
	if o != nil {
		_ = o.call(context.WithoutCancel(ctx), http.MethodPost, "/api/admin/logout", struct{}{}, nil)
	}
}

// sessionInfo is a session as the admin API tells of it.
type sessionInfo struct {
	SessionName string `json:"sessionName"`
	Suspended   bool   `json:"suspended"`
	CreatedAt   int64  `json:"createdAt"` // ms
	ExpiresAt   *int64 `json:"expiresAt"` // ms; nil: never
}

// sessions calls each with every session there is, in the order of their names.
func (o *operator) sessions(ctx context.Context, each func(sessionInfo) error) error {
	after := ""
	for {
		var page struct {
			Sessions []sessionInfo `json:"sessions"`
			Next     *string       `json:"next"`
		}
		path := fmt.Sprintf("/api/admin/sessions?limit=%d&after=%s", o.page, url.QueryEscape(after))
		if err := o.call(ctx, http.MethodGet, path, nil, &page); err != nil {
			return err
		}
		for _, s := range page.Sessions {
			if err := each(s); err != nil {
				return err
			}
		}
		if page.Next == nil || *page.Next <= after { // a broker that goes in circles
			return nil
		}
		after = *page.Next
	}
}

// call sends body, if it is not nil, and decodes the answer. What the broker refuses is a *protocol.Error.
func (o *operator) call(ctx context.Context, method, path string, body, answer any) error {
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, o.base+path, sent)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if o.token != "" {
		req.Header.Set("Authorization", "Bearer "+o.token)
	}
	res, err := o.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, protocol.MaxPayload))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		var failure struct {
			Code  protocol.Code `json:"code"`
			Error string        `json:"error"`
		}
		if json.Unmarshal(text, &failure) != nil || failure.Code == "" {
			return fmt.Errorf("%s answers %s, not as a fastPort broker does: is the address right?", o.base, res.Status)
		}
		return protocol.Errorf(failure.Code, printable(failure.Error))
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s does not answer as a fastPort broker does: is the address right?", o.base)
	}
	return nil
}
