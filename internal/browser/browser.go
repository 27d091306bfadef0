// Package browser tests the operator's portal in a real Chromium, headless, against real nodes: portal.mjs clicks and
// types through playwright-core, and leaves screenshots in shots/ for people to look at. Its tests are all that is in it.
package browser
