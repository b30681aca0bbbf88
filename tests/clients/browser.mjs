// A person at a real browser: headless Chromium walks the pages of a running demo.
//   node browser.mjs WALK '{"issuer": …, "google": …, "authorize": …, "screenshots": DIR}'
// `authorize` is an authorization URL of a registered client with a loopback callback; the demo shows all of its pages.
// Each step is one line of JSON on standard output.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import { chromium } from 'playwright-core'
import { Looker } from './look.mjs'

const [walk, json] = process.argv.slice(2)
const { issuer, google, authorize, screenshots } = JSON.parse(json)
const ANN = 'ann@example.com'
const SCOPES = 'https://www.googleapis.com/auth/'
// The verifier of RFC 7636, appendix B: `authorize` carries its challenge.
const VERIFIER = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
const say = (line) => console.log(JSON.stringify(line))

/** What the client's loopback callback got; the port is another than the registered one, as happens to real clients. */
const callback = await new Promise((resolve) => {
  const server = createServer((request, response) => {
    const url = new URL(request.url, callback.origin)
    if (url.pathname === '/callback') callback.got.push(url)
    response.setHeader('content-type', 'text/html; charset=utf-8').end('<!doctype html><title>client</title><p>You may close this window.')
  })
  server.listen(0, '127.0.0.1', () => resolve({ origin: `http://127.0.0.1:${server.address().port}`, got: [] }))
})

function authorizeUrl(change = {}) {
  const url = new URL(authorize)
  url.searchParams.set('redirect_uri', `${callback.origin}/callback`)
  for (const [name, value] of Object.entries(change)) url.searchParams.set(name, value)
  return url.href
}

const browser = await chromium.launch({
  executablePath: ['/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync),
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
})

/** A fresh browser window. Every request and every page that we serve is looked at. */
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1024, height: 768 }, locale: 'en-GB', ...options })
  const page = await context.newPage()
  const allowed = new Set([new URL(issuer).origin, new URL(google).origin, callback.origin])
  const faults = []
  context.on('request', (request) => {
    const url = new URL(request.url())
    if (url.protocol === 'data:') return
    if (!allowed.has(url.origin)) faults.push(`a request leaves for ${url.origin}`)
    const from = request.isNavigationRequest() ? url.origin : new URL(request.frame().url()).origin
    if (from !== url.origin) faults.push(`${request.resourceType()} of another origin: ${url.origin}`)
    if (['script', 'font', 'fetch', 'xhr', 'media', 'websocket'].includes(request.resourceType()) && from !== callback.origin) {
      faults.push(`a ${request.resourceType()} is loaded: ${url.pathname}`)
    }
  })
  page.on('console', (message) => {
    if (/Content Security Policy|Refused to/.test(message.text())) faults.push(message.text())
  })
  context.on('response', async (response) => {
    const url = new URL(response.url())
    if (url.origin !== new URL(issuer).origin || response.request().resourceType() !== 'document') return
    faults.push(...(await wrongHeaders(response)).map((fault) => `${url.pathname} ${response.status()}: ${fault}`))
  })
  return { context, page, faults }
}

/** What is wrong with the headers of a page or redirect of ours. */
async function wrongHeaders(response) {
  const headers = await response.allHeaders()
  const policy = headers['content-security-policy'] ?? ''
  const wrong = []
  const wants = (ok, what) => ok || wrong.push(what)
  wants(/no-store/.test(headers['cache-control'] ?? ''), 'no Cache-Control: no-store')
  wants(headers['referrer-policy'] === 'no-referrer', `Referrer-Policy ${headers['referrer-policy']}`)
  if (response.status() < 300 || response.status() >= 400) {
    wants(headers['x-content-type-options'] === 'nosniff', 'no nosniff')
    wants(headers['content-type'] === 'text/html; charset=utf-8', `Content-Type ${headers['content-type']}`)
    for (const rule of ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"]) {
      wants(policy.includes(rule), `no ${rule} in the policy`)
    }
    wants(!policy.includes('form-action'), 'form-action would make the button dead')
    wants(!policy.includes('unsafe'), 'something unsafe in the policy')
  }
  for (const cookie of await response.headerValues('set-cookie')) {
    wants(/;\s*httponly/i.test(cookie) && /;\s*samesite=lax/i.test(cookie), `a loose cookie: ${cookie.split('=')[0]}`)
  }
  return wrong
}

/** Presses a button or follows a link, and waits for the page that it leads to. */
async function press(page, name) {
  const target = page.getByRole('button', { name }).or(page.getByRole('link', { name }))
  await Promise.all([page.waitForEvent('load'), target.click()])
}

async function title(page, pattern) {
  assert.match(await page.title(), pattern)
  assert.equal(await page.locator('h1').count(), 1, 'one heading tells what the page is')
}

/** From the stand-in's chooser to the redirect back. */
async function chooseAnn(page) {
  await title(page, /Choose an account/)
  await press(page, ANN)
  if (/Consent/.test(await page.title())) await press(page, 'Allow')
}

/** The authorization URL of another client, with this redirect URI. */
async function authorizeUrlOf(client_name, redirect_uri) {
  const answer = await fetch(`${issuer}/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_name, redirect_uris: [redirect_uri], token_endpoint_auth_method: 'none' }),
  })
  assert.equal(answer.status, 201)
  return authorizeUrl({ client_id: (await answer.json()).client_id, redirect_uri })
}

/** Redeems the code that the client has got. */
async function redeem() {
  const { client_id } = Object.fromEntries(new URL(authorize).searchParams)
  const answer = await fetch(`${issuer}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'authorization_code', code: arrived().get('code'), client_id, code_verifier: VERIFIER }),
  })
  assert.equal(answer.status, 200)
  return (await answer.json()).scope
}

/** A device that asks for access. */
async function device() {
  const post = async (path, init) => {
    const answer = await fetch(`${issuer}${path}`, { method: 'POST', ...init })
    assert.ok(answer.ok, `${path}: ${answer.status}`)
    return answer.json()
  }
  const { client_id } = await post('/oauth/register', {
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_name: 'Television in the kitchen',
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code'],
      token_endpoint_auth_method: 'none',
    }),
  })
  return post('/oauth/device_authorization', { body: new URLSearchParams({ client_id }) })
}

function arrived() {
  const url = callback.got.pop()
  assert.ok(url, 'the client got an answer')
  assert.equal(url.searchParams.get('state'), 'st=/+')
  assert.equal(url.searchParams.get('iss'), issuer)
  return url.searchParams
}

const walks = {
  /** All the way for a client, without JavaScript. */
  async withoutJavaScript() {
    const { page, faults } = await open({ javaScriptEnabled: false })
    await page.goto(authorizeUrl({ scope: `openid ${SCOPES}drive.readonly ${SCOPES}gmail.readonly` }))
    await title(page, /asks for access/)
    await page.getByText('Gmail', { exact: true }).click()
    assert.equal(await page.getByRole('checkbox', { checked: true }).count(), 1, 'the word is part of the box')
    await press(page, 'Allow')
    await chooseAnn(page)
    await page.waitForURL(`${callback.origin}/**`)
    assert.equal(await redeem(), `${SCOPES}drive.readonly openid`, 'Drive without Gmail')

    await page.goto(`${issuer}/auth`)
    await title(page, /Sign in/)
    await press(page, /Sign in/)
    await chooseAnn(page)
    await page.waitForURL(`${issuer}/auth**`)
    await title(page, /You are signed in/)
    assert.match(await page.locator('main').innerText(), /ann@example\.com/)

    await press(page, /disconnect programs/)
    await press(page, /Disconnect/)
    await press(page, 'Disconnect')
    await title(page, /is disconnected/)
    await press(page, 'Back')
    assert.match(await page.locator('main').innerText(), /No program is connected/)
    return faults
  },

  /** Saying no, on our page and on the provider's. */
  async deny() {
    const { page, faults } = await open()
    await page.goto(authorizeUrl())
    await press(page, 'Deny')
    await page.waitForURL(`${callback.origin}/**`)
    const answer = arrived()
    assert.equal(answer.get('error'), 'access_denied')
    assert.equal(answer.get('code'), null)

    await page.goto(authorizeUrl())
    await press(page, 'Allow')
    await press(page, ANN)
    await press(page, 'Cancel')
    await page.waitForURL(`${callback.origin}/**`)
    assert.equal(arrived().get('error'), 'access_denied', 'the client learns of a no at the provider too')

    await page.goto(`${issuer}/auth`)
    await press(page, /Sign in/)
    await press(page, ANN)
    await press(page, 'Cancel')
    await title(page, /You did not allow it/)
    assert.match(await page.locator('main').innerText(), /Nothing was shared/)
    return faults
  },

  /** Only with the keyboard. */
  async keyboard() {
    const { page, faults } = await open()
    const tabTo = async (name, key = 'Enter') => {
      for (let i = 0; i < 30; i++) {
        await page.keyboard.press('Tab')
        const focus = await page.evaluate(() => {
          const element = document.activeElement
          const style = getComputedStyle(element)
          return { text: (element.labels?.[0] ?? element).innerText?.trim() ?? '', outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 }
        })
        if (!focus.text) continue
        if (page.url().startsWith(issuer)) assert.ok(focus.outline, `the focus on ${JSON.stringify(focus.text)} can be seen`)
        if (name.test(focus.text) && key === ' ') return page.keyboard.press(key)
        if (name.test(focus.text)) {
          await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')])
          return
        }
      }
      assert.fail(`${name} cannot be reached with the Tab key on ${await page.title()}`)
    }
    await page.goto(authorizeUrl({ scope: `${SCOPES}drive.readonly ${SCOPES}gmail.readonly` }))
    await tabTo(/Google Drive/, ' ')
    await tabTo(/Allow/)
    await tabTo(/ann@example\.com/)
    if (/Consent/.test(await page.title())) await tabTo(/Allow/)
    assert.equal(await redeem(), `${SCOPES}gmail.readonly`)
    await page.goto(`${issuer}/auth`)
    await tabTo(/Sign in/)
    await tabTo(/ann@example\.com/)
    if (/Consent/.test(await page.title())) await tabTo(/Allow/)
    await title(page, /You are signed in/)
    await tabTo(/Sign out/)
    await title(page, /You are signed out/)
    return faults
  },

  /** Two clicks, two tabs, another browser, a page loaded twice: what people do. */
  async people() {
    const { context, page, faults } = await open()
    await page.goto(authorizeUrl())
    const second = await context.newPage()
    await second.goto(authorizeUrl())
    // The second click ends the navigation that the first one began, so what is waited for is the page at the end.
    await page.getByRole('button', { name: 'Allow' }).dblclick()
    await page.getByRole('button', { name: ANN }).waitFor()
    await chooseAnn(page)
    await page.waitForURL(`${callback.origin}/**`)
    assert.ok(arrived().get('code'), 'a double click does no harm')
    await press(second, 'Allow')
    await chooseAnn(second)
    await second.waitForURL(`${callback.origin}/**`)
    assert.ok(arrived().get('code'), 'the other tab lives on')

    await page.goto(authorizeUrl())
    const [sentOut] = await Promise.all([page.waitForRequest(`${google}/o/oauth2/v2/auth?**`), press(page, 'Allow')])
    const other = await open()
    await other.page.goto(sentOut.url())
    await chooseAnn(other.page)
    await title(other.page, /browser where you began/)
    assert.equal(callback.got.length, 0, 'nothing was handed out')
    await chooseAnn(page)
    await page.waitForURL(`${callback.origin}/**`)
    assert.ok(arrived().get('code'), 'the stranger did not end the sign-in')
    return [...faults, ...other.faults]
  },

  /** Every page, looked at: contrast, structure, sizes, in light and dark, on a desk and on a phone. */
  async everyPage() {
    const { page, context, faults } = await open()
    const looker = new Looker(screenshots)
    const look = (name) => looker.look(page, name)
    const control = (...commands) => fetch(`${google}/standin/control`, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(commands),
    }).then((answer) => assert.equal(answer.status, 200))

    await page.goto(authorizeUrl())
    await look('consent')
    for (const box of await page.getByRole('checkbox').all()) await box.uncheck()
    await press(page, 'Allow')
    assert.match(await page.getByRole('alert').innerText(), /You have unticked everything/)
    await look('consent-nothing-chosen')
    await page.goto(await authorizeUrlOf('Claude', 'https://claude.ai/api/mcp/auth_callback'))
    assert.match(await page.locator('main').innerText(), /claude\.ai/, 'the host that gets the answer is named')
    await look('consent-site')
    await page.goto(await authorizeUrlOf('Cursor', 'cursor://anysphere.cursor-mcp/oauth/callback'))
    await look('consent-app')
    await page.goto(authorizeUrl({ scope: 'openid email profile https://www.googleapis.com/auth/drive.readonly', login_hint: ANN }))
    await look('consent-with-hint')
    await press(page, 'Allow')
    await title(page, /Consent/)
    await look('stand-in-consent')

    await page.goto(`${issuer}/auth`)
    await look('sign-in')
    await press(page, /Sign in/)
    await look('stand-in-chooser')
    await press(page, ANN)
    await press(page, 'Cancel')
    await title(page, /You did not allow it/)
    await look('denied-at-provider')

    await page.goto(`${issuer}/auth?account=bob%40example.com`)
    await look('sign-in-account')
    await control({ do: 'wrong_email', email: ANN })
    await press(page, /Sign in/)
    await press(page, 'Allow')
    await look('wrong-account')
    await control({ do: 'heal' })

    await page.goto(`${issuer}/auth`)
    await press(page, /Sign in/)
    await chooseAnn(page)
    await title(page, /You are signed in/)
    await look('success')
    await page.goto(`${issuer}/auth`)
    await title(page, /already signed in/)
    await look('already-signed-in')
    await press(page, /session token/i)
    await look('sessions-none')
    await page.getByRole('textbox').fill('Backup script on the old laptop in the cellar')
    await press(page, /Make/)
    await look('session-new')
    await press(page, /Back/)
    await look('sessions-one')
    await page.goto(`${issuer}/auth/apps`)
    await look('apps-none')
    await page.goto(authorizeUrl({ scope: `openid ${SCOPES}drive.readonly` }))
    await press(page, 'Allow')
    await chooseAnn(page)
    await page.waitForURL(`${callback.origin}/**`)
    await redeem()
    await page.goto(authorizeUrl({ scope: `openid ${SCOPES}gmail.readonly ${SCOPES}calendar.events` }))
    await look('consent-more')
    await page.goto(`${issuer}/auth/apps`)
    await look('apps')
    const german = await open({ locale: 'de-DE' })
    await german.context.addCookies(await context.cookies())
    await german.page.goto(page.url())
    await title(german.page, /Verbundene Programme/)
    await looker.look(german.page, 'apps-de')
    await press(page, /Disconnect/)
    const question = page.url()
    await look('apps-ask')
    await press(page, 'Disconnect')
    await look('apps-revoked')
    await page.goto(question)
    await look('apps-gone')
    await page.goto(`${issuer}/auth`)
    await press(page, /Make a client id/)
    await look('client-new')
    await page.getByLabel('Name').fill('A program that cannot register')
    await page.getByLabel('Redirect URIs').fill('ftp://elsewhere.example/callback')
    await press(page, 'Make the client id')
    await look('client-refused')
    await page.getByLabel('Redirect URIs').fill('https://program.example/oauth/callback')
    await page.getByLabel('Yes').check()
    await press(page, 'Make the client id')
    await title(page, /The client id for/)
    await look('client-made')
    await page.goto(`${issuer}/auth`)
    await press(page, /Sign out/)
    await look('signed-out')

    await page.goto(`${issuer}/device`)
    await look('device-code')
    await page.getByLabel('Code').fill('bbbb bbbb')
    await press(page, 'Continue')
    await look('device-code-wrong')
    const asked = await device()
    await page.goto(asked.verification_uri_complete)
    await look('device-code-filled-in')
    await press(page, 'Continue')
    assert.match(await page.locator('main').innerText(), new RegExp(asked.user_code))
    await look('device-consent')
    await press(page, 'Allow')
    await chooseAnn(page)
    await title(page, /You may return to your device/)
    await look('device-done')
    await page.goto((await device()).verification_uri_complete)
    await press(page, 'Continue')
    await press(page, 'Deny')
    await look('device-denied')

    await page.goto(authorizeUrl({ client_id: 'forgotten' }))
    await look('error-unknown-client')
    await page.goto(authorizeUrl({ redirect_uri: 'https://elsewhere.example/callback' }))
    await look('error-bad-redirect')
    await page.goto(`${issuer}/oauth2callback?state=unknown&code=none`)
    await look('error-unknown-state')
    await page.goto(`${issuer}/oauth/authorize`)
    await look('error-bad-request')
    await page.goto(authorizeUrl())
    await context.clearCookies()
    await press(page, 'Allow')
    await look('error-other-browser')
    await control({ do: 'fail', endpoint: 'token', status: 503, times: 100 })
    await page.goto(authorizeUrl())
    await press(page, 'Allow')
    await chooseAnn(page)
    await look('error-provider-down')
    await control({ do: 'heal' }, { do: 'dead_end', error: 'org_internal' })
    await page.goto(authorizeUrl())
    await press(page, 'Allow')
    await look('stand-in-dead-end')
    await control({ do: 'heal' })

    await german.page.goto(authorizeUrl())
    assert.equal(await german.page.locator('html').getAttribute('lang'), 'de')
    await looker.look(german.page, 'consent-de')
    await german.page.goto(authorizeUrl({ client_id: 'forgotten' }))
    await looker.look(german.page, 'error-unknown-client-de')
    await german.page.goto((await device()).verification_uri_complete)
    await looker.look(german.page, 'device-code-de')
    await press(german.page, 'Weiter')
    await looker.look(german.page, 'device-consent-de')
    return [...faults, ...german.faults, ...looker.faults]
  },
}

try {
  const faults = await walks[walk]()
  assert.deepEqual([...new Set(faults)], [])
  say({ step: walk, ok: true })
  say({ done: true })
} catch (error) {
  const pages = browser.contexts().flatMap((context) => context.pages())
  const shown = await Promise.all(pages.map(async (page) => `${new URL(page.url()).pathname}: ${await page.title()}`))
  say({ step: walk, ok: false, error: String(error?.stack ?? error), traffic: shown })
  process.exitCode = 1
} finally {
  await browser.close()
  process.exit()
}
