package session

import (
	"context"
	"errors"

	"github.com/fastport/fastport/storage"
)

// Rekeyed counts what Rekey has looked at.
type Rekeyed struct {
	Sessions, Devices int // looked at
	Anew              int // values that are sealed under MASTER_KEY now and were not before
	Unopened          int // values that no known key opens: whoever pushed with them must hand them in again
}

const rekeyPage = 500

// Rekey seals anew under MASTER_KEY what the store keeps under MASTER_KEY_PREVIOUS. It may run beside nodes that have
// both keys, may be broken off and begun again, and goes on where a value does not open. After each page it tells
// progress. An error is the store's, or of ctx.
func (c *Catalog) Rekey(ctx context.Context, progress func(Rekeyed)) (r Rekeyed, err error) {
	if c.sealer == nil {
		return r, errNoSealer
	}
	for after := ""; ; {
		page, err := c.store.Sessions(ctx, "", after, rekeyPage)
		if err != nil {
			return r, err
		}
		for _, s := range page {
			if err := c.rekeySession(ctx, s, &r); err != nil {
				return r, err
			}
			after = s.Name
		}
		progress(r)
		if len(page) < rekeyPage {
			break
		}
	}
	for after := (storage.Device{}); ; {
		page, err := c.store.EveryDevice(ctx, after, rekeyPage)
		if err != nil {
			return r, err
		}
		for _, d := range page {
			if err := c.rekeyDevice(ctx, d, &r); err != nil {
				return r, err
			}
			after = d
		}
		progress(r)
		if len(page) < rekeyPage {
			return r, nil
		}
	}
}

func (c *Catalog) rekeySession(ctx context.Context, s storage.Session, r *Rekeyed) error {
	r.Sessions++
	key, anew := c.reseal(s.FCMKey, r, sealTable, s.ID, sealFCMKey)
	config, also := c.reseal(s.FCMConfig, r, sealTable, s.ID, sealFCMConfig)
	if !anew && !also {
		return nil
	}
	err := c.store.ResealSession(ctx, s.ID, key, config)
	if errors.Is(err, storage.ErrNotFound) {
		return nil // dropped meanwhile
	}
	if err != nil {
		return err
	}
	for _, did := range []bool{anew, also} {
		if did {
			r.Anew++
		}
	}
	return nil
}

func (c *Catalog) rekeyDevice(ctx context.Context, d storage.Device, r *Rekeyed) error {
	r.Devices++
	token, anew := c.reseal(d.Token, r, sealDevices, d.Session, d.User, d.ID)
	if !anew {
		return nil
	}
	did, err := c.store.ResealDevice(ctx, d, token)
	if did {
		r.Anew++
	}
	return err
}

// reseal seals a value under the current key; false: it is, or it cannot be opened, and stays as it was.
func (c *Catalog) reseal(sealed []byte, r *Rekeyed, row ...string) ([]byte, bool) {
	if len(sealed) == 0 || c.sealer.isCurrent(sealed) {
		return sealed, false
	}
	text, err := c.sealer.Open(sealed, row...)
	if err != nil {
		r.Unopened++
		return sealed, false
	}
	defer clear(text)
	return c.sealer.Seal(text, row...), true
}
