import { Checkbox, Modal, MultiSelect, Select, SimpleGrid, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api, body, type Schemas } from '../api/client';
import { abTestsQuery, metricsQuery, modelsQuery } from '../api/queries';
import { DialogForm } from '../components/Form';
import { fieldError } from '../components/fieldError';
import { NumberField } from '../components/NumberField';
import { Unread } from '../components/Unread';

const FIELDS = [
  'key',
  'name',
  'metric',
  'models',
  'score_type',
  'traffic_split',
  'min_scores',
  'alpha',
  'auto_deploy',
];

interface AbTestDialogProps {
  project: string;
  opened: boolean;
  onClose: () => void;
}

/** Begin a test. What the server does not take is told beside the field that it is about. */
export function AbTestDialog({ project, opened, onClose }: AbTestDialogProps) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const metrics = useQuery({ ...metricsQuery(project), enabled: opened });
  const models = useQuery({ ...modelsQuery(project), enabled: opened });
  const [key, setKey] = useState('');
  const [name, setName] = useState('');
  const [metric, setMetric] = useState<string | null>(null);
  const [chosen, setChosen] = useState<string[]>([]);
  const [kind, setKind] = useState<'DIRECT' | 'COMPARISON'>('DIRECT');
  const [share, setShare] = useState<number | undefined>(100);
  const [scores, setScores] = useState<number | undefined>(30);
  const [error, setError] = useState<number | undefined>(5);
  const [deploy, setDeploy] = useState(false);
  const create = useMutation({
    mutationFn: () => {
      const test: Schemas['AbTestCreate'] = {
        project,
        key: key.trim(),
        ...(name.trim() ? { name: name.trim() } : {}),
        metric: metric ?? '',
        models: chosen,
        score_type: kind,
        auto_deploy: deploy,
        ...(share === undefined ? {} : { traffic_split: share / 100 }),
        ...(scores === undefined ? {} : { min_scores: scores }),
        ...(error === undefined ? {} : { alpha: error / 100 }),
      };
      return body(api.POST('/api/v1/ab_tests', { body: test }));
    },
    onSuccess: async (test) => {
      await client.invalidateQueries({ queryKey: abTestsQuery(project).queryKey });
      close();
      await navigate({ to: '/projects/$project/ab-tests/$test', params: { project, test: test.key } });
    },
  });
  const close = () => {
    create.reset();
    onClose();
  };
  const wrong = (...names: string[]) => fieldError(create.error, ...names);
  return (
    <Modal opened={opened} onClose={close} title="Create A/B test" size="lg">
      <DialogForm sending={create} fields={FIELDS} confirm="Begin" onCancel={close}>
        <SimpleGrid cols={{ base: 1, xs: 2 }}>
          <TextInput
            label="Key"
            placeholder="which"
            required
            data-autofocus
            value={key}
            onChange={(event) => setKey(event.currentTarget.value)}
            error={wrong('key')}
          />
          <TextInput
            label="Name"
            placeholder="Which model helps more?"
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            error={wrong('name')}
          />
        </SimpleGrid>
        <MultiSelect
          label="Models"
          description="Two to eight that are attached to this project"
          required
          searchable
          data={models.data?.map((model) => {
            const own = model.id.slice(project.length + 1);
            return { value: own, label: model.online ? own : `${own} (offline)` };
          })}
          value={chosen}
          onChange={setChosen}
          error={wrong('models')}
        />
        <SimpleGrid cols={{ base: 1, xs: 2 }}>
          <Select
            label="Metric"
            description="What decides"
            required
            searchable
            data={metrics.data
              ?.filter((found) => found.category !== 'SYSTEM')
              .map((found) => ({ value: found.key, label: found.name }))}
            nothingFoundMessage="Create a metric first, on the page Metrics"
            value={metric}
            onChange={setMetric}
            error={wrong('metric')}
          />
          <Select
            label="Scores"
            description="What counts"
            allowDeselect={false}
            data={[
              { value: 'DIRECT', label: 'Scores of single answers' },
              { value: 'COMPARISON', label: 'Preferences between two' },
            ]}
            value={kind}
            onChange={(value) => setKind(value as typeof kind)}
            error={wrong('score_type')}
          />
          <NumberField
            label="Traffic"
            description="The share of requests that enter"
            suffix=" %"
            min={0}
            max={100}
            value={share}
            onChange={setShare}
            error={wrong('traffic_split')}
          />
          <NumberField
            label="Scores before a decision"
            description="Of each model, at least 10"
            value={scores}
            onChange={setScores}
            error={wrong('min_scores')}
          />
          <NumberField
            label="Risk"
            description="Of naming a wrong winner"
            suffix=" %"
            min={0}
            max={50}
            value={error}
            onChange={setError}
            error={wrong('alpha')}
          />
        </SimpleGrid>
        <Unread queries={{ Models: models, Metrics: metrics }} />
        <Checkbox
          label="Make the winner the default model of the project"
          checked={deploy}
          onChange={(event) => setDeploy(event.currentTarget.checked)}
          error={wrong('auto_deploy')}
        />
      </DialogForm>
    </Modal>
  );
}
