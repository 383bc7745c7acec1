import { describe, expect, it } from 'vitest';
import { ApiError } from '../api/errors';
import { fieldError, otherError } from './fieldError';

const refused = (param: string | null) => new ApiError(400, { message: 'Not so.', param }, 'req-1');

describe('an error of the server', () => {
  it('stands at its field, also when it is about a part of it', () => {
    expect(fieldError(refused('models'), 'models')).toBe('Not so.');
    expect(fieldError(refused('models.1'), 'models')).toBe('Not so.');
    expect(fieldError(refused('models_of'), 'models')).toBeUndefined();
  });

  it('does not say twice which field it is about', () => {
    const error = new ApiError(400, { message: 'name: this field is required.', param: 'name' }, null);
    expect(fieldError(error, 'name')).toBe('This field is required.');
  });

  it('is shown by itself where no field is about it', () => {
    expect(otherError(refused('key'), 'key', 'name')).toBeNull();
    expect(otherError(refused(null), 'key')).toBeInstanceOf(ApiError);
    expect(otherError(new TypeError('x'), 'key')).toBeInstanceOf(TypeError);
  });
});
