import { describe, expect, it } from 'vitest';
import { imageSource, lastQuestion, readMessage, textOf } from './content';

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

it('images come from the message or this server, and from nowhere else', () => {
  expect(imageSource('data:image/png;base64,AAAA')).toBe('data:image/png;base64,AAAA');
  expect(imageSource('/images/01a2-b/3f9a.png')).toBe('/api/v1/images/01a2-b/3f9a.png');
  for (const other of [
    'https://a.example/b.png',
    '//a.example/b.png',
    '/images/../../x.png',
    'data:text/html,x',
  ])
    expect(imageSource(other)).toBeNull();
});
