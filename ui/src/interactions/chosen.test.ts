import { expect, it } from 'vitest';
import { joined, ofCompletions } from './chosen';

it('many chosen rows are several selections, oldest first', () => {
  const ids = Array.from({ length: 130 }, (_, index) => `01-${String(index).padStart(4, '0')}`);
  const found = ofCompletions('shop', new Set([...ids].reverse()));
  expect(found.map(({ filter }) => filter.or!.length)).toEqual([60, 60, 10]);
  expect(found.flatMap(({ filter }) => filter.or!.map((part) => part.completion_id))).toEqual(ids);
  expect(found.every(({ project }) => project === 'shop')).toBe(true);
});

it('files are put together', () => {
  expect(joined('jsonl', ['{"a":1}\n', '{"a":2}\n'])).toBe('{"a":1}\n{"a":2}\n');
  expect(joined('csv', ['a,b\r\n1,2\r\n', 'a,b\r\n3,4\r\n'])).toBe('a,b\r\n1,2\r\n3,4\r\n');
});
