/** A request as code to copy. Where the key belongs, the code reads it from the environment. */

import type { ChatRequest } from './request';

export type Dialect = 'sdk' | 'openai' | 'curl';

export function asCode(request: ChatRequest, dialect: Dialect, origin: string): string {
  if (dialect === 'curl') return curl(request, origin);
  return dialect === 'openai' ? openai(request, origin) : sdk(request, origin);
}

function curl(request: ChatRequest, origin: string): string {
  // A single quote ends the string of a shell; what follows is how one writes it inside.
  const json = JSON.stringify(request, null, 2).replaceAll("'", "'\\''");
  return `curl ${origin}/api/v1/chat/completions \\
  -H "Authorization: Bearer $ADAPTIVE_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '${json}'`;
}

function sdk(request: ChatRequest, origin: string): string {
  const { model, ...rest } = request;
  const [project, ...name] = model.split('/');
  const fields = { ...(name.length ? { model: name.join('/') } : {}), ...rest };
  return `from adaptive_engine import Adaptive

# The key is read from ADAPTIVE_API_KEY.
adaptive = Adaptive(${python(origin)}, default_project=${python(project)})
answer = adaptive.chat.create(
${args(fields)}
)
print(answer.choices[0].message.content)`;
}

/** What OpenAI's library has no parameter for travels in `extra_body`; labels are its `metadata`. */
function openai(request: ChatRequest, origin: string): string {
  const { labels, session_id, ab_campaign, ...known } = request;
  const extra = Object.fromEntries(
    Object.entries({ session_id, ab_campaign }).filter(([, value]) => value !== undefined),
  );
  const fields = {
    ...known,
    ...(labels ? { metadata: labels } : {}),
    ...(Object.keys(extra).length ? { extra_body: extra } : {}),
  };
  return `import os
from openai import OpenAI

client = OpenAI(base_url=${python(`${origin}/api/v1`)}, api_key=os.environ["ADAPTIVE_API_KEY"])
answer = client.chat.completions.create(
${args(fields)}
)
print(answer.choices[0].message.content)`;
}

function args(fields: object): string {
  return Object.entries(fields)
    .map(([name, value]) => `    ${name}=${python(value, 1)},`)
    .join('\n');
}

/** A JSON value as Python writes it. */
export function python(value: unknown, depth = 0): string {
  if (value === null || value === undefined) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value !== 'object') return JSON.stringify(value);
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  const items = Array.isArray(value)
    ? value.map((item) => python(item, depth + 1))
    : Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${python(item, depth + 1)}`);
  const line = `${open}${items.join(', ')}${close}`;
  if (line.length + 4 * depth <= 96 && !line.includes('\n')) return line;
  const indent = '    '.repeat(depth + 1);
  return `${open}\n${items.map((item) => `${indent}${item},\n`).join('')}${'    '.repeat(depth)}${close}`;
}
