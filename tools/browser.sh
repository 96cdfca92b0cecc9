#!/bin/sh
# A browser for the tests of the pages: Debian's Chromium, where there is none yet and we may install it. Without one those
# tests are skipped and say so.
command -v chromium >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing chromium for the tests of the pages ..."
  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-liberation >/dev/null && exit 0
fi
echo "No browser, so the tests of the pages are skipped: sudo apt-get install chromium" >&2
