// Preloaded into the suite's client, which waits for an answer without end: one that does not come fails its test only.
const http = require('http')

const SECONDS = 20
const { request } = http

http.request = (...args) => {
  const sent = request(...args)
  return sent.setTimeout(SECONDS * 1000, () => sent.destroy(new Error(`nothing came for ${SECONDS} s`)))
}
