package fcm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/messaging"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"
	"google.golang.org/api/option"
)

// Account is a session's own Firebase project. It holds no address: where pushes and token requests go is the
// operator's to say alone.
type Account struct {
	ProjectID   string
	PrivateKey  string // PEM
	ClientEmail string
}

// Google's own addresses.
const (
	GoogleEndpoint = "https://fcm.googleapis.com/v1"
	GoogleTokenURL = "https://oauth2.googleapis.com/token"
)

// scope is all that a token is asked for.
const scope = "https://www.googleapis.com/auth/firebase.messaging"

// app is one session's client of FCM, with its own token.
type app struct {
	account Account
	client  *messaging.Client
	pace    *pace
	used    time.Time // guarded by Sender.mu
}

// open makes an app. Nothing is sent yet: a wrong key shows here, a refused one at the first push.
func (o *Options) open(a Account) (*app, error) {
	config := jwt.Config{Email: a.ClientEmail, PrivateKey: []byte(a.PrivateKey), Scopes: []string{scope}, TokenURL: o.TokenURL}
	p := &pace{base: o.transport}
	plain := &http.Client{Transport: &bounded{base: o.transport}, CheckRedirect: noRedirect, Timeout: o.Timeout}
	tokens := config.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, plain))
	signed := &http.Client{Transport: &oauth2.Transport{Source: tokens, Base: p}, CheckRedirect: noRedirect}
	ctx := context.Background() // the SDK keeps it for nothing but making its clients
	made, err := firebase.NewApp(ctx, &firebase.Config{ProjectID: a.ProjectID}, option.WithHTTPClient(signed), option.WithEndpoint(o.Endpoint))
	if err != nil {
		return nil, fmt.Errorf("fcm: open: %w", err)
	}
	client, err := made.Messaging(ctx)
	if err != nil {
		return nil, fmt.Errorf("fcm: open: %w", err)
	}
	return &app{account: a, client: client, pace: p}, nil
}

var errRedirect = errors.New("fcm: redirects are not followed")

func noRedirect(*http.Request, []*http.Request) error { return errRedirect }
