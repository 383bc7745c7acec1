import { useQuery } from '@tanstack/react-query';
import type { Schemas } from '../api/client';
import { modelsQuery } from '../api/queries';
import type { Settings } from './types';

/** The model that these settings name, as far as it is known before it answers. */
export function useModel(project: string, settings: Settings): Schemas['ModelCard'] | undefined {
  const { data: models = [] } = useQuery(modelsQuery(project));
  return models.find((model) =>
    settings.model ? model.id === `${project}/${settings.model}` : model.is_default,
  );
}

export function canSee(model: Schemas['ModelCard'] | undefined): boolean {
  return model?.tags?.includes('Multimodal') ?? false;
}
