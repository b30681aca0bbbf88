// A tool needs more than was granted: the official TypeScript SDKs meet the challenge, each in its way.
//   node step-up.mjs PACKAGE MCP_URL     PACKAGE: client (v2) or sdk (v1)
// Each step is one line of JSON on standard output.

import assert from 'node:assert/strict'
import { Application, CALLBACK, load } from './application.mjs'
import { Person } from './person.mjs'

const [which, mcpUrl] = process.argv.slice(2)
const DRIVE = 'https://www.googleapis.com/auth/drive.readonly'

const { Client, StreamableHTTPClientTransport, UnauthorizedError } = await load(which)
const application = new Application(which)
const say = (line) => console.log(JSON.stringify(line))
const newTransport = () => new StreamableHTTPClientTransport(new URL(mcpUrl), { authProvider: application })
const connected = async (transport = newTransport()) => {
  const client = new Client({ name: 'authchain-e2e', version: '1.0.0' })
  await client.connect(transport)
  return client
}
const text = async (client, name, args = {}) => {
  const result = await client.callTool({ name, arguments: args })
  assert.notEqual(result.isError, true, JSON.stringify(result))
  return result.content[0].text
}
async function step(name, work) {
  const outcome = await work().catch((error) => {
    say({ step: name, ok: false, error: String(error?.stack ?? error) })
    process.exit(1)
  })
  say({ step: name, ok: true })
  return outcome
}
async function signIn(transport, url) {
  const back = await new Person({ account: 'ann@example.com' }).walk(url, CALLBACK)
  await transport.finishAuth(which === 'client' ? back.searchParams : back.searchParams.get('code'))
}

await step('a client that was granted Drive only', async () => {
  const transport = newTransport()
  await assert.rejects(connected(transport), UnauthorizedError)
  application.opened[0].searchParams.set('scope', DRIVE)
  await signIn(transport, application.opened[0])
})

const transport = newTransport()
const client = await connected(transport)
await step('may read Drive', async () => assert.match(await text(client, 'drive_list'), /Quarterly plan/))

const search = { name: 'gmail_search', arguments: { query: 'fence' } }

// v2 asks the person. v1 only refreshes its token, which makes it no wider, and tries again: it gets words and a link.
if (which === 'client') {
  const asked = await step('asks the person for the old scopes and Gmail when a tool needs Gmail', async () => {
    await assert.rejects(client.callTool(search), UnauthorizedError)
    assert.equal(application.opened.length, 2)
    const scopes = application.opened[1].searchParams.get('scope').split(' ')
    assert.ok(scopes.includes(DRIVE), scopes)
    assert.ok(scopes.some((scope) => scope.includes('gmail')), scopes)
    return scopes
  })
  await step('the person says yes', async () => {
    await signIn(transport, application.opened[1])
    assert.ok(asked.every((scope) => application.kept.scope.split(' ').includes(scope)), application.kept.scope)
  })
} else {
  const link = await step('gets a link for the person when a tool needs Gmail', async () => {
    const result = await client.callTool(search)
    assert.equal(result.isError, true)
    const [, link] = result.content[0].text.match(/\[Allow it here\]\(([^)]+)\)/)
    return link
  })
  await step('the person says yes', async () => {
    await new Person({ account: 'ann@example.com' }).walk(link, 'http://nowhere.invalid/')
      .catch((error) => assert.match(String(error), /You are signed in/))
  })
}

await step('and then has both, asked once', async () => {
  const again = await connected()
  await text(again, 'gmail_search', { query: 'fence' })
  assert.match(await text(again, 'drive_list'), /Quarterly plan/)
  assert.equal(application.opened.length, which === 'client' ? 2 : 1)
})

say({ done: true })
process.exit(0)
