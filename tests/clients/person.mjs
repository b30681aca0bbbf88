// A person at a browser, as small as it goes: a cookie jar, redirects by hand, forms. No JavaScript, no pictures.
// The walks in a real browser are in browser.mjs.

const MOST_HOPS = 20

/** A person who chooses `account` where accounts are offered, and says yes (or no) where asked. */
export class Person {
  #cookies = new Map() // host:port → Map of name → value
  /** Titles of the pages that this person saw. */
  seen = []

  constructor({ account, approve = true }) {
    this.account = account
    this.approve = approve
  }

  /** Walks the pages from `url` until a redirect to `callback`, which is not fetched; answers that address. */
  async walk(url, callback) {
    let page = await this.#open(new URL(url), callback)
    for (let presses = 0; presses < 10; presses++) {
      if (page.callback) return page.callback
      page = await this.#press(page, callback)
    }
    throw new Error(`the pages never end: ${this.seen.join(', ')}`)
  }

  async #open(url, callback, init = {}) {
    for (let hops = 0; hops < MOST_HOPS; hops++) {
      const response = await fetch(url, { ...init, redirect: 'manual', headers: this.#headers(url, init) })
      this.#remember(url, response)
      const location = response.headers.get('location')
      if (!location) {
        const html = await response.text()
        this.seen.push(text(/<title>([^]*?)<\/title>/.exec(html)?.[1] ?? String(response.status)))
        return { url, status: response.status, html }
      }
      url = new URL(location, url)
      if (url.href.startsWith(callback)) return { callback: url }
      init = {} // 302 and 303 are followed with GET
    }
    throw new Error(`too many redirects, the last to ${url.origin}${url.pathname}`)
  }

  #press(page, callback) {
    for (const form of forms(page.html)) {
      const button = this.#choose(form.buttons)
      if (!button) continue
      const fields = new URLSearchParams(form.fields)
      if (button.name) fields.append(button.name, button.value)
      const target = new URL(form.action || page.url.href, page.url)
      if (form.method !== 'post') {
        target.search = fields.toString()
        return this.#open(target, callback)
      }
      return this.#open(target, callback, {
        method: 'POST',
        body: fields,
        headers: { origin: page.url.origin, 'sec-fetch-site': 'same-origin' },
      })
    }
    throw new Error(`nothing to press on ${JSON.stringify(this.seen.at(-1))} (${page.status}): ${text(page.html).slice(0, 400)}`)
  }

  #choose(buttons) {
    const says = (pattern) => buttons.find((b) => pattern.test(b.label) || pattern.test(b.value))
    return says(new RegExp(this.account)) ?? (this.approve ? says(/allow|approve|continue|yes|sign in with/i) : says(/deny|cancel|no\b/i))
  }

  #headers(url, init) {
    const cookies = [...(this.#cookies.get(url.host) ?? [])].map(([name, value]) => `${name}=${value}`)
    const headers = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-site': 'cross-site', ...init.headers }
    return cookies.length ? { ...headers, cookie: cookies.join('; ') } : headers
  }

  #remember(url, response) {
    const jar = this.#cookies.get(url.host) ?? new Map()
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=;]+)=([^;]*)/.exec(line)
      if (/max-age=0|expires=thu, 01 jan 1970/i.test(line)) jar.delete(name)
      else jar.set(name, value)
    }
    this.#cookies.set(url.host, jar)
  }
}

function forms(html) {
  return [...html.matchAll(/<form\b([^>]*)>([^]*?)<\/form>/g)].map(([, head, body]) => ({
    method: (attribute(head, 'method') ?? 'get').toLowerCase(),
    action: attribute(head, 'action'),
    fields: [...body.matchAll(/<input\b([^>]*)>/g)]
      .filter(([, input]) => attribute(input, 'type') !== 'checkbox' || /\schecked\b/.test(input))
      .map(([, input]) => [attribute(input, 'name'), attribute(input, 'value') ?? 'on'])
      .filter(([name]) => name),
    buttons: [...body.matchAll(/<button\b([^>]*)>([^]*?)<\/button>/g)].map(([, button, label]) => ({
      name: attribute(button, 'name'),
      value: attribute(button, 'value') ?? '',
      label: text(label),
    })),
  }))
}

function attribute(tag, name) {
  const value = new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1]
  return value === undefined ? undefined : unescape(value)
}

function text(html) {
  return unescape(html.replace(/<style[^]*?<\/style>/g, ' ').replace(/<[^>]*>/g, ' ')).replace(/\s+/g, ' ').trim()
}

function unescape(html) {
  const named = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' }
  return html.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (all, hex, decimal, name) =>
    name ? (named[name] ?? all) : String.fromCodePoint(hex ? parseInt(hex, 16) : Number(decimal)))
}
