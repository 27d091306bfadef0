package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/client/e2ee"
)

func devicesCommand() command {
	return command{
		name: "devices", group: "Devices", summary: "list, register and unregister the devices of a user that pushes wake",
		about: `A user who is not connected is woken through Firebase Cloud Messaging, on every device that was registered for them,
where the session has a Firebase project. Apps register their devices themselves; this is for looking, and for trying it.`,
		examples: `fastport devices list demo alice
fastport devices register demo alice phone --platform android < token.txt
fastport devices unregister demo alice phone`,
		commands: []command{
			deviceCommand("list", "SESSION USER", "list a user's devices", 2, listDevices),
			deviceCommand("register", "SESSION USER DEVICE", "register a device, whose FCM token comes from standard input", 3, registerDevice),
			deviceCommand("unregister", "SESSION USER DEVICE", "forget a device", 3, unregisterDevice),
		},
	}
}

// deviceCall is what one of the commands does once it is connected.
type deviceCall func(ctx context.Context, e *env, c *client.Client, user string, d e2ee.Device) error

func deviceCommand(name, args, summary string, count int, call deviceCall) command {
	return command{
		name: name, args: args, summary: summary, about: strings.ToUpper(summary[:1]) + summary[1:] + ".\n" + accessHelp,
		examples: "fastport devices " + name + " demo alice" + map[bool]string{true: " phone"}[count == 3],
		define: func(fs *flag.FlagSet) action {
			var a access
			var platform string
			a.declare(fs)
			if name == "register" {
				fs.StringVar(&platform, "platform", "android", "what it is: android, ios or web")
			}
			return func(ctx context.Context, e *env, args []string) error {
				if err := need(fs, args, count, count, "a session, a user"+map[bool]string{true: " and a device"}[count == 3]); err != nil {
					return err
				}
				d := e2ee.Device{Platform: platform}
				if count == 3 {
					d.DeviceID = args[2]
				}
				if name == "register" {
					var err error
					if d.FCMToken, err = readToken(e.Stdin); err != nil {
						return err
					}
				}
				return callDevice(ctx, e, &a, args[0], args[1], d, call)
			}
		},
	}
}

func callDevice(ctx context.Context, e *env, a *access, session, user string, d e2ee.Device, call deviceCall) error {
	pr, err := a.resolve(e, session)
	if err != nil {
		return err
	}
	c, err := a.connect(ctx, pr, e.say, func(*client.Options) {})
	if err != nil {
		return err
	}
	return errors.Join(pr.explain(call(ctx, e, c.Client, user, d)), c.hangUp(ctx))
}

func listDevices(ctx context.Context, e *env, c *client.Client, user string, _ e2ee.Device) error {
	list, err := c.RegisteredDevices(ctx, user)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		e.say("%s has no devices", printable(user))
		return nil
	}
	w := table(e.Stdout, "DEVICE\tPLATFORM\tREGISTERED\tTOKEN OF")
	for _, d := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", printable(d.DeviceID), printable(d.Platform), clock(d.CreatedAt), clock(d.UpdatedAt))
	}
	return w.Flush()
}

// maxTokenText bounds what is read of a token; FCM's have some 160 bytes.
const maxTokenText = 8 << 10

func readToken(from io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxTokenText))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", usagef("there is no token on standard input: `fastport devices register SESSION USER DEVICE < token.txt`")
	}
	return token, nil
}

func registerDevice(ctx context.Context, e *env, c *client.Client, user string, d e2ee.Device) error {
	if err := c.RegisterFCMToken(ctx, user, d); err != nil {
		return err
	}
	e.say("registered %s for %s", printable(d.DeviceID), printable(user))
	return nil
}

func unregisterDevice(ctx context.Context, e *env, c *client.Client, user string, d e2ee.Device) error {
	if err := c.UnregisterFCMToken(ctx, user, d); err != nil {
		return err
	}
	e.say("unregistered %s of %s", printable(d.DeviceID), printable(user))
	return nil
}
