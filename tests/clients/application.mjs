// An application that uses the official MCP TypeScript SDK, v1 or v2: what it has to bring for the SDK's OAuth client.

/** Nobody listens there: the person hands the address over. */
export const CALLBACK = 'http://127.0.0.1:9/callback'

/** `client` is the SDK v2, `sdk` is v1. */
export async function load(which) {
  if (which === 'client') return import('@modelcontextprotocol/client')
  const [{ Client }, { StreamableHTTPClientTransport }, { UnauthorizedError }] = await Promise.all([
    import('@modelcontextprotocol/sdk/client/index.js'),
    import('@modelcontextprotocol/sdk/client/streamableHttp.js'),
    import('@modelcontextprotocol/sdk/client/auth.js'),
  ])
  return { Client, StreamableHTTPClientTransport, UnauthorizedError }
}

/** What an application has to bring: a place for everything, and a way to the person. */
export class Application {
  constructor(which) {
    this.clientMetadata = {
      client_name: `TypeScript SDK (${which})`,
      redirect_uris: [CALLBACK],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    }
  }

  redirectUrl = CALLBACK
  opened = [] // the authorization URLs that a person was sent to

  state() { return this.expectedState ??= 'st=/+' + 'x'.repeat(400) }
  clientInformation() { return this.client }
  saveClientInformation(client) { this.client = client }
  tokens() { return this.kept }
  saveTokens(tokens) { this.kept = tokens }
  redirectToAuthorization(url) { this.opened.push(url) }
  saveCodeVerifier(verifier) { this.verifier = verifier }
  codeVerifier() { return this.verifier }
  discoveryState() { return this.discovered }
  saveDiscoveryState(state) { this.discovered = state }
  invalidateCredentials(scope) {
    this.invalidated = scope
    if (scope === 'all' || scope === 'tokens') this.kept = undefined
    if (scope === 'all' || scope === 'client') this.client = undefined
  }
}
