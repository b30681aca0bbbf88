// The way of `authchain demo --check`, gone by the official MCP TypeScript SDK: its transport, its own OAuth client.
//   node sdk.mjs PACKAGE MCP_URL ERA     PACKAGE: client (v2) or sdk (v1); ERA: legacy or auto (v2 negotiates 2026-07-28)
// Each step is one line of JSON on standard output. {"ask":"restart"} asks whoever started this to restart the server and
// to answer with a line: "done", or "no" where it cannot.

import assert from 'node:assert/strict'
import { createInterface } from 'node:readline/promises'
import { Application, CALLBACK, load } from './application.mjs'
import { Person } from './person.mjs'

const [which, mcpUrl, era = 'legacy'] = process.argv.slice(2)
const ACCOUNT = 'ann@example.com'

const { Client, StreamableHTTPClientTransport, UnauthorizedError } = await load(which)
const traffic = []
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

const application = new Application(which)
const newTransport = () => new StreamableHTTPClientTransport(new URL(mcpUrl), { authProvider: application, fetch: watched })
const newClient = () => new Client(
  { name: 'authchain-e2e', version: '1.0.0' },
  which === 'client' ? { versionNegotiation: { mode: era } } : {},
)

/** The SDK's own traffic: which statuses it met where. */
async function watched(url, init) {
  const response = await fetch(url, init)
  traffic.push(`${init?.method ?? 'GET'} ${new URL(url).pathname} ${response.status}`)
  return response
}

const saw = (pattern) => traffic.some((line) => pattern.test(line))
const say = (line) => console.log(JSON.stringify(line))
async function step(name, work) {
  const outcome = await work().catch((error) => {
    say({ step: name, ok: false, error: String(error?.stack ?? error), traffic })
    process.exit(1)
  })
  say({ step: name, ok: true })
  return outcome
}

async function call(client, name, args = {}) {
  const result = await client.callTool({ name, arguments: args })
  const text = result.content?.[0]?.text ?? ''
  assert.notEqual(result.isError, true, `${name}: ${text}`)
  assert.ok(text && !text.startsWith('No '), `${name} finds nothing: ${text}`)
  return text
}

const first = newTransport()
await step('without a token the SDK discovers, registers, and asks for a person', async () => {
  await assert.rejects(newClient().connect(first), UnauthorizedError)
  assert.ok(saw(/^POST \/mcp 401$/), 'the 401')
  assert.ok(saw(/oauth-protected-resource.* 200$/), 'the resource metadata')
  assert.ok(saw(/oauth-authorization-server.* 200$/), 'the server metadata')
  assert.ok(saw(/^POST \/\S*register 201$/), 'the registration')
  assert.equal(application.opened.length, 1, 'one authorization URL')
  const asked = application.opened[0].searchParams
  assert.equal(asked.get('code_challenge_method'), 'S256')
  assert.equal(asked.get('resource'), mcpUrl)
})

await step('the person consents and signs in, and the code comes back', async () => {
  const person = new Person({ account: ACCOUNT })
  const back = await person.walk(application.opened[0], CALLBACK)
  assert.equal(back.searchParams.get('state'), application.state(), 'state is returned byte for byte')
  assert.equal(back.searchParams.get('iss'), new URL(mcpUrl).origin)
  assert.ok(person.seen.length >= 1, 'a consent page was shown')
  if (which === 'client') await first.finishAuth(back.searchParams)
  else await first.finishAuth(back.searchParams.get('code'))
  assert.ok(application.kept.access_token && application.kept.refresh_token)
})

let client = newClient()
await step('connect', async () => {
  await client.connect(newTransport())
  const version = client.getNegotiatedProtocolVersion?.() ?? client.transport?.protocolVersion
  say({ protocol: version })
  if (era === 'auto') assert.equal(version, '2026-07-28')
})

await step('tools/list', async () => {
  const { tools } = await client.listTools()
  assert.deepEqual(tools.map((tool) => tool.name).sort(), [
    'calendar_create', 'calendar_list', 'drive_list', 'drive_quota', 'drive_read', 'drive_search',
    'gmail_read', 'gmail_search', 'gmail_send', 'whoami',
  ])
})

await step('tools/call on Drive, Gmail and Calendar', async () => {
  assert.match(await call(client, 'whoami'), /ann@example\.com/)
  const [id] = (await call(client, 'drive_list')).split('\n').find((line) => line.includes('(text/')).split(' ')
  await call(client, 'drive_read', { file_id: id })
  await call(client, 'gmail_search', { query: '' })
  await call(client, 'calendar_list')
})

await step('a dead access token: the SDK refreshes by itself and goes on', async () => {
  const before = { ...application.kept }
  application.kept = { ...before, access_token: before.access_token.slice(0, -8) + 'AAAAAAAA' }
  await call(client, 'drive_list')
  assert.notEqual(application.kept.access_token, before.access_token)
  assert.ok(application.kept.refresh_token, 'a refresh answer carries a refresh token')
  assert.equal(application.opened.length, 1, 'nobody was asked again')
})

say({ ask: 'restart' })
if ((await answers.next()).value === 'done') {
  await step('after a restart of the server still signed in, no new consent', async () => {
    await call(client, 'drive_list')
    await client.close()
    client = newClient()
    await client.connect(newTransport())
    await call(client, 'gmail_search', { query: '' })
    application.kept = { ...application.kept, access_token: 'gone' }
    await call(client, 'calendar_list')
    assert.equal(application.opened.length, 1, 'nobody was asked again')
    assert.equal(traffic.filter((line) => /register/.test(line)).length, 1, 'registered once')
  })
}

await step('revoked: 401, and the SDK asks for a person again', async () => {
  const metadata = await (await fetch(new URL('/.well-known/oauth-authorization-server', mcpUrl))).json()
  const revoked = await fetch(metadata.revocation_endpoint, {
    method: 'POST',
    body: new URLSearchParams({ token: application.kept.refresh_token, client_id: application.client.client_id }),
  })
  assert.equal(revoked.status, 200)
  const direct = await fetch(mcpUrl, {
    method: 'POST',
    headers: { authorization: `Bearer ${application.kept.access_token}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
  })
  assert.equal(direct.status, 401)
  assert.match(direct.headers.get('www-authenticate'), /error="invalid_token"/)
  await assert.rejects(call(client, 'drive_list'), UnauthorizedError)
  assert.equal(application.invalidated, 'tokens', 'the refresh was refused with invalid_grant, which SDKs understand')
  assert.equal(application.opened.length, 2)
})

say({ done: true })
process.exit(0)
