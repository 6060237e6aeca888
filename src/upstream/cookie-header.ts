/** Value of a cookie in a `Cookie` header; `undefined` when it is not there. */
export function cookieNamed(header: string | undefined, name: string): string | undefined {
  return pairsOf(header).find(([key]) => key === name)?.[1]
}

/** Values of all cookies in a `Cookie` header. */
export function cookieValues(header: string | undefined): string[] {
  return pairsOf(header).map(([, value]) => value)
}

function pairsOf(header = ''): [name: string, value: string][] {
  return header
    .split('; ')
    .filter((pair) => pair !== '')
    .map((pair) => [pair.slice(0, Math.max(0, pair.indexOf('='))), pair.slice(pair.indexOf('=') + 1)])
}
