// A static server for what the pages load: the SDKs out of node_modules. It answers HEAD and has an
// ETag, by which the wasm SDK looks after its cache. Its origin is not Herald's: CORS is real.

import { createReadStream, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

import { listening } from './waiting.mjs'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const OPEN_TO_ALL = ['/pages/', '/node_modules/']
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.wasm': 'application/wasm',
}

/** Starts it, and returns its origin. It does not keep this process alive. */
export async function serveFiles() {
  const server = createServer(answer)
  const origin = `http://${await listening(server)}`
  server.unref()
  return origin
}

function answer(request, response) {
  const path = normalize(new URL(request.url, 'http://files').pathname)
  const file = OPEN_TO_ALL.some((folder) => path.startsWith(folder)) && found(join(ROOT, path))
  if (!file) return response.writeHead(404).end()
  const etag = `"${file.size}-${file.mtimeMs}"`
  const headers = {
    'content-type': TYPES[extname(path)] ?? 'application/octet-stream',
    'cache-control': 'no-cache',
    etag,
  }
  if (request.headers['if-none-match'] === etag) return response.writeHead(304, headers).end()
  response.writeHead(200, { ...headers, 'content-length': file.size })
  if (request.method === 'HEAD') return response.end()
  createReadStream(file.path).pipe(response)
}

function found(path) {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat?.isFile() && { path, size: stat.size, mtimeMs: stat.mtimeMs }
}
