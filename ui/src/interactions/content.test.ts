import { describe, expect, it } from 'vitest';
import { lastQuestion, readMessage, textOf } from './content';

describe('a stored message', () => {
  it('has texts and images', () => {
    const content = [
      { type: 'text', text: 'What is this?' },
      { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
      { type: 'image_url', image_url: 'https://example.com/a.png' },
    ];
    expect(readMessage({ role: 'user', content })).toEqual({
      role: 'user',
      parts: [
        { text: 'What is this?' },
        { image: 'data:image/png;base64,AAAA' },
        { image: 'https://example.com/a.png' },
      ],
    });
  });

  it('of another shape is shown as it is', () => {
    expect(textOf(readMessage({ role: 'tool', content: { a: 1 } }))).toBe('{"a":1}');
    expect(textOf(readMessage({ content: [1, null] }))).toBe('1null');
  });

  it('is found by who asked last', () => {
    const messages = [
      { role: 'user', content: 'One' },
      { role: 'assistant', content: 'Two' },
      { role: 'user', content: ' Three\n\nlines ' },
      { role: 'assistant', content: 'Four' },
    ];
    expect(lastQuestion(messages)).toBe('Three lines');
    expect(lastQuestion([])).toBe('');
  });
});
