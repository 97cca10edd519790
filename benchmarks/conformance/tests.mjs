// Prints the tests of the suite in the directory given, as JSON, without those for browsers.
import { existsSync } from 'fs'
import { join } from 'path'
import { pathToFileURL } from 'url'

const load = async file => (await import(pathToFileURL(file))).default

const directory = join(process.argv[2], 'tests')
const suites = await load(join(directory, 'index.mjs'))
const surrogate = join(directory, 'surrogate-control.mjs') // version 0.4.5 adds them in its client
if (existsSync(surrogate) && !suites.some(suite => suite.id === 'surrogate-control')) suites.push(await load(surrogate))

console.log(JSON.stringify(suites.flatMap(suite => suite.tests.filter(test => !test.browser_only).map(test => (
  { id: test.id, kind: test.kind ?? 'required', needs: test.depends_on ?? [] }
)))))
