import { describe, expect, it } from 'vitest';
import { limitsText } from './limits';

describe('limits', () => {
  it('are told in words, those that there are', () => {
    expect(limitsText({ requests_per_minute: 20, tokens_per_minute: null, concurrent_requests: 4 })).toBe(
      '20 requests/min, 4 at once',
    );
    expect(limitsText({})).toBe('');
    expect(limitsText(null)).toBe('');
  });
});
